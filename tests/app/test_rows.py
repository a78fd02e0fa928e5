"""A row made from kept parts is the row that would be made from nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.model import Site

_STEP = st.tuples(st.sampled_from(["start", "park", "ready", "group", "leave", "fail", "wait"]), st.integers(0, 3))


@settings(max_examples=60)
@given(st.lists(_STEP, max_size=12))
def test_kept_rows_are_as_good_as_new(steps: list[tuple[str, int]]) -> None:
    now = [100.0]
    probe = FakeProbe(clock=lambda: now[0])
    feed = Feed(probe, clock=lambda: now[0], wall=lambda: 0.0, limits=FeedLimits(sample_age=-1.0))
    groups = [probe.open_group() for _ in range(4)]
    id = probe.add()
    for action, number in steps:
        now[0] += 0.5
        if not probe.is_alive(id):
            break
        member = id in probe.groups()[number].members
        if action == "start" and probe.count_states()["pending"]:
            probe.start(id, Site("a.py", number, "f"))
        elif action == "park":
            probe.park(id, "event", f"e{number}", place=Site("a.py", number, "g"))
        elif action == "ready":
            probe.make_ready(id)
        elif action == "group" and not member:
            probe.enter(groups[number], id)
        elif action == "leave" and member:
            probe.leave(groups[number], id)
        elif action == "fail":
            probe.fail(id)
        feed.tick()
        (row,) = feed.rows([id])
        life = feed.life(id)
        assert life is not None
        assert row == life.row(feed.clock, now[0], feed._pid)


def test_rows_can_be_changed_without_changing_what_is_kept() -> None:
    probe = FakeProbe()
    feed = Feed(probe)
    probe.add(name="a")
    feed.tick()
    for _ in range(3):
        (row,) = feed.rows([1])
        assert row["name"] == "a"
        row["name"] = "changed"
        del row["age"]


def test_kept_rows_are_bounded() -> None:
    probe = FakeProbe()
    feed = Feed(probe)
    for _ in range(5_000):
        probe.add()
    feed.tick()
    feed.rows(probe.live_ids())
    assert len(feed._rows._kept) <= 4_000
