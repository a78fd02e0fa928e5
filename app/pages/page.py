"""What a page is: a menu entry, the capabilities it needs, and one endpoint.

A page reads from the feed and renders a template; it owns no state. The URL table collects the pages, so a new page is
a new small file here and a template, and nothing else changes.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.probe import Capability

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its path below the mount point, its name for links, its title, icon and key in the menu.

    `menu_query` is what the menu's link asks for beside the path; `beside` names the page whose entry stands for this
    one where the menu has little room.
    """

    path: str
    name: str
    title: str
    endpoint: Endpoint
    needs: frozenset[Capability] = frozenset()
    menu: bool = False
    icon: str = ""
    key: str = ""
    menu_query: str = ""
    beside: str = ""
