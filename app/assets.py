"""Static files: a fixed table, read into memory once, served from there under content-hashed paths.

The table is made from the packaged `static/` folder when the dashboard is built; a request only looks its path up, so
there is no file system behind a URL: no traversal, no race, no file access in the server's thread. The hash is that
of the whole set, not of one file, so relative imports between ES modules stay valid and one deploy is one version;
browsers may keep every file for ever. An address with a stale hash gets the present file, uncached, so that a page
opened before an update still finds its scripts.

Text is kept compressed, too, for whoever accepts gzip: a page with its scripts and styles then weighs a third. (What is
the same for everybody and holds no secret may be compressed beside secrets.)
"""

import gzip
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

STATIC = Path(__file__).resolve().parent.parent / "static"

#: what is served at all: everything else in the folder (licences, notes) stays there. Fixed here, because the
#: mimetypes module reads files of the system, where .js has been text/plain.
MIME_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
}
#: bytes below which compressing saves nothing
WORTH_IT = 500
IMMUTABLE = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its bytes, the same compressed (empty: not worth it), and its media type."""

    body: bytes
    gzipped: bytes
    media_type: str


class Assets:
    """The table of static files. Immutable after it was made."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._files: dict[str, Asset] = {}
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            media_type = MIME_TYPES.get(path.suffix)
            if media_type is None or not path.is_file():
                continue
            name = path.relative_to(folder).as_posix()
            body = path.read_bytes()
            gzipped = gzip.compress(body, mtime=0) if len(body) > WORTH_IT else b""
            self._files[name] = Asset(body, gzipped if len(gzipped) < len(body) else b"", media_type)
            digest.update(f"{name}\0{len(body)}\0".encode())
            digest.update(body)
        self.version = digest.hexdigest()[:16]

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def url(self, name: str) -> str:
        """Return the path of a file relative to the mount point; raises KeyError for one that is not there."""
        if name not in self._files:
            raise KeyError(f"no static file {name!r}")
        return f"static/{self.version}/{name}"

    async def endpoint(self, request: Request) -> Response:
        """Serve `/static/<version>/<name>`."""
        version, _, name = str(request.path_params["path"]).partition("/")
        asset = self._files.get(name)
        if asset is None:
            return JSONResponse({"error": "not-found", "message": "there is no such file"}, 404)
        cache = IMMUTABLE if version == self.version else "no-store"
        headers = {"content-type": asset.media_type, "cache-control": cache, "vary": "accept-encoding"}
        if asset.gzipped and accepts_gzip(request.headers.get("accept-encoding", "")):
            return Response(asset.gzipped, headers={**headers, "content-encoding": "gzip"})
        return Response(asset.body, headers=headers)


def accepts_gzip(header: str) -> bool:
    """Tell whether an Accept-Encoding header names gzip without refusing it (RFC 9110 section 12.5.3)."""
    for coding in header.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() == "gzip":
            return re.fullmatch(r"\s*q=0(\.0*)?\s*", weight) is None
    return False


@lru_cache(maxsize=1)
def packaged_assets() -> Assets:
    """Return the package's own static files, read once per process."""
    return Assets()
