"""The pages: one small file each, collected here for the URL table and the menu."""

from greenscope.app.pages.audit import PAGE as AUDIT
from greenscope.app.pages.events import PAGE as EVENTS
from greenscope.app.pages.findings import PAGE as FINDINGS
from greenscope.app.pages.greenlet import KILL as GREENLET_KILL
from greenscope.app.pages.greenlet import PAGE as GREENLET
from greenscope.app.pages.greenlets import PAGE as GREENLETS
from greenscope.app.pages.groups import GROUP, GROUPS
from greenscope.app.pages.groups import KILL as GROUP_KILL
from greenscope.app.pages.login import PAGE as LOGIN
from greenscope.app.pages.overview import PAGE as OVERVIEW
from greenscope.app.pages.page import Page
from greenscope.app.pages.processes import PAGE as PROCESSES
from greenscope.app.pages.rendering import render
from greenscope.app.pages.spawn import PAGE as SPAWN
from greenscope.app.pages.stacks import PAGE as STACKS
from greenscope.app.pages.tree import PAGE as TREE
from greenscope.app.pages.waits import PAGE as WAITS

#: in the order of the menu; pages without a menu entry follow the one they belong to
PAGES: tuple[Page, ...] = (
    OVERVIEW,
    FINDINGS,
    GREENLETS,
    GREENLET,
    GREENLET_KILL,
    GROUPS,
    GROUP,
    GROUP_KILL,
    STACKS,
    WAITS,
    TREE,
    EVENTS,
    SPAWN,
    AUDIT,
    PROCESSES,
    LOGIN,
)

__all__ = ["PAGES", "Page", "render"]
