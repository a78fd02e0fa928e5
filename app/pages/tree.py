"""The spawn tree: who spawned whom, every subtree counted, cut to what a person can read."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.formatting import parse_ident
from greenscope.app.pages.errors import render_error
from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import offset_of, render
from greenscope.app.pages.weight import ROOM, Room
from greenscope.app.trees import MAX_WIDTH

DEPTH, WIDTH, WIDER = 4, 10, 100
#: greenlets on the page
MOST = 200


async def tree(request: Request) -> Response:
    """Answer `/tree`; `root` shows what hangs below one greenlet, `width` more children of each.

    `offset` leaves out the first roots, or the first children of `root`.
    """
    dashboard = request.app.state.dashboard
    asked, width_text = request.query_params.get("root", ""), request.query_params.get("width", "")
    root = parse_ident(asked) if asked else None
    width = min(int(width_text), MAX_WIDTH) if width_text.isdecimal() and len(width_text) < 6 else WIDTH
    grown = await dashboard.tree.get()
    found: dict[str, Any] | None = None
    if root is not None or not asked:
        found = grown.draw(
            dashboard.describe, root=root, depth=DEPTH, width=max(1, width), offset=offset_of(request), most=MOST
        )
    if found is None:
        message = "There is no greenlet with this id, or it ended so long ago that it is no longer remembered."
        return render_error(request, 404, "No such greenlet", message)
    return render(
        request, "tree.html", PAGE, found=found, root=asked, offset=offset_of(request), wider=WIDER, room=Room(ROOM)
    )


PAGE = Page("/tree", "tree", "Tree", tree, menu=True, icon="list-tree", key="t", beside="stacks")
