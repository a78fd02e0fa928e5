"""Greenlets as CSV: what is shown, in the order in which it is shown.

RFC 4180 with a header line. Names come from the observed program, and spreadsheets run cells that begin with `=`, `+`,
`-` or `@`: such text gets an apostrophe in front (OWASP, CSV injection).
"""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from greenscope.app.query import ROW_FIELDS

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> str:
    """Return one value as a cell's text; lists are joined, records written in one phrase."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, Mapping):
        if "file" in value:
            text = f"{value.get('file')}:{value.get('line')} {value.get('function') or ''}".strip()
        elif "type" in value:
            text = f"{value.get('type')}: {value.get('message') or ''}"
        else:
            text = " ".join(str(part) for part in (value.get("kind"), value.get("name")) if part)
    elif isinstance(value, (list, tuple)):
        text = ";".join(cell(item) for item in value)
    else:
        text = str(value)
    text = text.replace("\0", "")
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_csv(rows: Iterable[Mapping[str, Any]], columns: Iterable[str] = ROW_FIELDS) -> bytes:
    """Write rows as CSV in UTF-8 (what cannot be encoded becomes `?`)."""
    names = tuple(columns)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue().encode("utf-8", "replace")
