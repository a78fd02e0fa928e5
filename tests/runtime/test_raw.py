"""Raw greenlets: what spawn_raw() gives them, and what becomes of their errors."""

from typing import Any

import greenlet
import pytest

from greenscope.runtime import getcurrent, sleep, spawn, spawn_raw
from greenscope.runtime.hub import Hub


def test_raw_greenlet_has_tree_locals_too() -> None:
    found: list[Any] = []
    raw: Any = spawn_raw(lambda: found.append(spawn(lambda: None).spawn_tree_locals))
    sleep(0)
    assert found[0] is raw.spawn_tree_locals
    assert raw.spawning_greenlet() is getcurrent()


def test_spawn_raw_passes_arguments() -> None:
    seen: list[Any] = []
    spawn_raw(lambda *args, **kwargs: seen.append((args, kwargs)), 1, x=2)
    sleep(0)
    assert seen == [((1,), {"x": 2})]


def test_raw_greenlet_that_fails_is_reported(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    raw = spawn_raw(int, "x")
    sleep(0)
    assert raw.dead
    assert "ValueError: invalid literal" in capsys.readouterr().err


def test_raw_child_of_a_greenlet_dies_into_its_parent(hub: Hub) -> None:
    def parent() -> str:
        child = greenlet.greenlet(lambda: "from the child")
        value: str = child.switch()
        return value

    assert spawn(parent).get() == "from the child"
