"""What pages weigh over a program that has too much of everything, with texts as long as texts are shown."""

import json
import posixpath
import re
from collections.abc import Iterator
from typing import Any

import pytest
from markupsafe import Markup

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import build_dashboard
from greenscope.app.model import Site, Stack
from greenscope.app.pages.weight import NAMES_ROOM, Room, fit, fit_names
from greenscope.app.spawnables import Spawnables
from greenscope.app.stacks import MOST_GROUPS
from greenscope.app.waits import MOST_RESOURCES
from tests.app.conftest import TOKEN, Client

#: bytes of a page with all that it loads, the charts' data not counted
MOST = 150_000
#: five bytes for each character, in HTML
LONG = '"' * 200
#: how many there are of whatever there can be many of
MANY = 600
PATHS = (
    "/",
    "/findings",
    "/findings?offset=30",
    "/findings?stack=blocked-499",
    "/greenlets",
    "/greenlets?limit=500&columns=id.name.function.place.groups.spawn_site.exception.waiting_on",
    "/greenlets?open=1",
    "/greenlets/1",
    "/groups",
    "/groups?offset=40",
    "/groups/1",
    "/stacks",
    "/stacks?offset=20",
    "/waits",
    "/waits?offset=50",
    "/tree",
    "/tree?width=200",
    "/tail",
    "/spawn",
    "/audit",
    "/processes",
)


def name(number: int) -> str:
    return f"{number} {LONG}"[:200]


def place(number: int) -> Site:
    return Site(f"/srv/{number}/{LONG}{LONG}", number, LONG)


def populate(probe: FakeProbe) -> None:
    """Bring too much of everything to life; greenlet 1 and group 1 have to do with all of it."""
    bands = [probe.open_group(name(number), 48) for number in range(MANY // 2)]
    for band in bands:
        probe.set_waiters(band, 20)
    star = probe.add(LONG, name=LONG, file=LONG, spawn_site=place(0))
    probe.start(star, place(0))
    for band in bands[:100]:
        probe.enter(band, star)
    parents = [star]
    for number in range(MANY):
        parent = parents[number // 6]
        spawned = {"name": name(number), "file": f"/srv/{LONG}{LONG}", "spawn_site": place(number)}
        id = probe.add(LONG, parent=parent, group=bands[number % 20], **spawned)
        parents.append(id)
        probe.start(id, place(number))
        probe.set_stack(id, Stack(tuple(place(number + level) for level in range(200)), (LONG,) * 200))
        probe.park(id, "lock", f"{number % 300} {LONG}"[:200], owner=star, place=place(number))
    for number in range(MANY):
        id = probe.add(LONG, name=name(number), parent=star, group=1)
        probe.start(id)
        probe.fail(id, LONG, LONG, tuple(place(level) for level in range(50)))
    circle = [probe.add(LONG, name=name(number)) for number in range(MANY)]
    for id, other in zip(circle, [*circle[1:], circle[0]], strict=True):
        probe.start(id)
        probe.park(id, "join", LONG, target=other, place=place(id))


def say(number: int) -> dict[str, Any]:
    """Return a finding that names many."""
    site = {"file": "/" + LONG * 2, "line": number, "function": LONG, "source": LONG}
    return {
        "id": f"blocked-{number}",
        "severity": ("critical", "warning", "info")[number % 3],
        "worst_severity": "warning",
        "state": "open" if number < 400 else "resolved",
        "kind": "blocked",
        "summary": LONG * 2,
        "hint": LONG * 2,
        "greenlet": str(number + 1),
        "ids": [str(number + more) for more in range(2, 50)],
        "group": "1",
        "culprit": site,
        "count": 1,
        "first": "2026-01-01T00:00:00Z",
        "last": "2026-01-01T00:00:00Z",
        "resolved": None if number < 400 else "2026-01-01T00:00:00Z",
        "stack": [site] * 30,
    }


def offer() -> Spawnables:
    """Return spawnables with long forms."""
    offered = Spawnables()
    for number in range(100):
        arguments = ", ".join(f"argument_{index}_{'x' * 60}: str = '{'y' * 500}'" for index in range(100))
        space: dict[str, Any] = {}
        exec(f"def work({arguments}) -> None: ...", space)
        space["work"].__doc__ = LONG * 100
        offered.add(space["work"], f"{number:03d}{LONG}"[:100])
    return offered


def closure(client: Client, html: str) -> int:
    """Return the bytes sent for all scripts and styles that a page loads or may come to load."""
    waiting = re.findall(r'(?:src|href)="([^"]*/static/[^"]+\.(?:js|css))"', html)
    sizes: dict[str, int] = {}
    while waiting:
        path = waiting.pop()
        if path in sizes:
            continue
        answer = client.get(path, headers={"accept-encoding": "gzip"})
        sizes[path] = int(answer.headers["content-length"])
        for other in re.findall(r"""(?:from|import)\s*\(?\s*["'](\.[^"']+)["']""", answer.text):
            waiting.append(posixpath.normpath(posixpath.join(posixpath.dirname(path), other)))
    return sum(sizes.values())


def test_fit_stops_at_the_first_that_has_no_room() -> None:
    room = Room(10)
    fitted = fit(["aaaa", "bbbbbbb", "c"], Markup, room)
    assert (fitted.html, fitted.shown, fitted.left) == ("aaaa", 1, 2)
    assert room.left == 6


def test_fit_keeps_the_last_in_their_order_and_counts_bytes() -> None:
    fitted = fit(["a", "ä", "b"], Markup, Room(3), last=True)
    assert (fitted.html, fitted.shown, fitted.left) == ("äb", 2, 1)


def test_part_of_a_room_takes_from_the_whole() -> None:
    room = Room(10)
    part = room.part(8)
    assert part.take("aaaaaa")
    assert not part.take("aaa")
    assert (part.left, room.left) == (2, 4)
    assert room.take("aaa")
    assert part.left == 1


def test_names_for_a_script_begin_with_those_that_are_shown() -> None:
    names = {str(number): LONG for number in range(100)}
    chosen = fit_names(names, ["99", "7", "unknown"])
    assert [id for id, _ in chosen[:3]] == ["99", "7", "0"]
    assert len(json.dumps(chosen)) < 2 * NAMES_ROOM


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Give a client of a dashboard over too much of everything."""
    probe = FakeProbe()
    populate(probe)
    app = build_dashboard(probe, token=TOKEN, control=True, name=LONG, spawnables=offer())
    board = app.dashboard
    board.feed.tick()
    for number in range(1000):
        record = board.audit.begin(LONG, f"greenlet {number}", LONG)
        board.audit.end(record, "refused", LONG, "1")
    rows = [say(number) for number in range(500)]
    board.feed.findings = lambda: rows  # type: ignore[method-assign]
    client = Client(app)
    yield client
    client.close()


@pytest.mark.parametrize("path", PATHS)
def test_page_is_light_whatever_the_program_has(client: Client, path: str) -> None:
    answer = client.get(path, headers={"accept": "text/html"})
    assert answer.status_code == 200
    series = sum(len(found) for found in re.findall(r"data-series='([^']*)'", answer.text))
    html, loaded = len(answer.content) - series, closure(client, answer.text)
    assert html + loaded < MOST, f"{html:,} bytes and {loaded:,} of scripts and styles"


@pytest.mark.parametrize(
    ("path", "item", "total"),
    [
        ("/findings", r'<article class="finding" id="([^"]*)"', 500),
        ("/groups", r'<tr data-group="([^"]*)"', MANY // 2),
        ("/stacks", r'<details id="([^"]*)"', MOST_GROUPS),
        ("/waits", r'<tr data-key="([^"]*)"', MOST_RESOURCES),
        ("/audit", r'<a href="/greenlets/([^"]*)">greenlet', 1000),
        ("/spawn", r'<span class="mono">(\d{3})', 100),
        ("/tree?root=1", r'<a href="/greenlets/([^"]*)">', 2 * MANY + 1),
    ],
)
def test_what_has_no_room_is_a_click_away(client: Client, path: str, item: str, total: int) -> None:
    waiting, seen, found = [path], {path}, set()
    while waiting:
        html = client.get(waiting.pop(), headers={"accept": "text/html"}).text
        found |= set(re.findall(item, html))
        for link in re.findall(r'href="([^"]*)"[^>]*>[0-9,]+ more</a>', html):
            if link not in seen:
                seen.add(link)
                waiting.append(link.replace("&amp;", "&"))
    assert len(found) == total


def test_rows_that_have_no_room_are_on_the_next_page(client: Client) -> None:
    path, found = "/greenlets?state=waiting", []
    for _ in range(20):
        html = client.get(path, headers={"accept": "text/html"}).text
        rows = re.findall(r'<tr data-id="([^"]*)"', html)
        assert 0 < len(rows) < 100
        found += rows
        link = re.search(r'id="later"[^>]* href="([^"]*)"', html)
        assert link is not None
        path = link[1].replace("&amp;", "&")
    assert len(set(found)) == len(found)
    assert found == sorted(found, key=int)
