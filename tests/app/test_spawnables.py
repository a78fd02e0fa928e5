"""Spawnables: forms from signatures, arguments validated one by one."""

import enum
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest

from greenscope.app import spawnables as module
from greenscope.app.spawnables import ArgumentErrors, Spawnables, UnknownSpawnable, spawnable


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


def crawl(
    url: str,
    depth: int = 2,
    *,
    rate: float = 0.5,
    deep: bool = False,
    colour: Colour = Colour.RED,
    mode: Literal["fast", "slow", 3] = "fast",
    proxy: str | None = None,
    tags: list[str] = [],  # noqa: B006
    limits: Annotated[list[int] | None, "rows"] = None,
    hook: Callable[[], None] = print,
    **rest: object,
) -> None:
    """Crawl a site.

    Slowly.
    """


@pytest.fixture
def registered() -> Spawnables:
    found = Spawnables()
    found.add(crawl)
    return found


def bind(registered: Spawnables, **arguments: Any) -> dict[str, Any]:
    return registered.bind("crawl", {"url": "u", **arguments})[1]


def test_spawnable_describes_its_signature(registered: Spawnables) -> None:
    (row,) = registered.rows()
    assert row["name"] == "crawl"
    assert row["doc"] == "Crawl a site.\n\nSlowly."
    fields = {p["name"]: p for p in row["parameters"]}
    assert list(fields) == ["url", "depth", "rate", "deep", "colour", "mode", "proxy", "tags", "limits"]
    assert fields["url"] == {"name": "url", "type": "str", "nullable": False, "required": True, "default": None}
    assert fields["depth"]["default"] == 2
    assert fields["colour"]["choices"] == ["RED", "BLUE"]
    assert fields["colour"]["default"] == "RED"
    assert fields["mode"]["choices"] == ["fast", "slow", "3"]
    assert fields["proxy"]["nullable"] is True
    assert fields["limits"]["items"] == {"type": "int", "nullable": False}


def test_bind_converts_each_type(registered: Spawnables) -> None:
    assert bind(registered) == {"url": "u"}
    assert bind(
        registered, depth=3, rate=1, deep=True, colour="BLUE", mode=3, proxy=None, tags=["a"], limits=[1, 2]
    ) == {
        "url": "u", "depth": 3, "rate": 1.0, "deep": True, "colour": Colour.BLUE, "mode": 3, "proxy": None,
        "tags": ["a"], "limits": [1, 2],
    }  # fmt: skip
    assert bind(registered, mode="3")["mode"] == 3


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("url", 3, "must be text"),
        ("depth", "3", "whole number"),
        ("depth", 3.0, "whole number"),
        ("depth", True, "whole number"),
        ("rate", "x", "a number"),
        ("rate", 10**400, "a number"),
        ("rate", False, "a number"),
        ("deep", 1, "true or false"),
        ("colour", "GREEN", "one of RED, BLUE"),
        ("colour", 1, "one of RED, BLUE"),
        ("mode", True, "one of fast"),
        ("url", None, "must be text"),
        ("tags", "a", "must be a list"),
        ("tags", ["a", 1], "item 1: must be text"),
        ("tags", ["a"] * 1001, "at most 1000"),
        ("limits", [None], "item 0"),
        ("hook", "os.system", "unknown argument"),
        ("rest", {}, "unknown argument"),
        ("self", 1, "unknown argument"),
    ],
)
def test_bind_names_the_argument_and_what_would_be_right(
    registered: Spawnables, argument: str, value: object, message: str
) -> None:
    with pytest.raises(ArgumentErrors) as caught:
        bind(registered, **{argument: value})
    assert list(caught.value.errors) == [argument]
    assert message in caught.value.errors[argument]


def test_bind_reports_all_errors_at_once(registered: Spawnables) -> None:
    with pytest.raises(ArgumentErrors) as caught:
        registered.bind("crawl", {"depth": "x", "nonsense": 1})
    assert set(caught.value.errors) == {"url", "depth", "nonsense"}


@pytest.mark.parametrize("name", ["os.system", "", "crawl ", "CRAWL", "__import__", "greenscope.app.api"])
def test_bind_knows_registered_names_only(registered: Spawnables, name: str) -> None:
    with pytest.raises(UnknownSpawnable):
        registered.bind(name, {})


def test_spawnable_without_annotations_guesses_from_defaults() -> None:
    def job(what, times=3, note=None, *more):  # type: ignore[no-untyped-def]
        pass

    registered = Spawnables()
    registered.add(job)
    assert [(p["name"], p["type"], p["nullable"]) for p in registered.rows()[0]["parameters"]] == [
        ("what", "str", False), ("times", "int", False), ("note", "str", True),
    ]  # fmt: skip


def test_spawnable_refuses_what_cannot_be_filled_in() -> None:
    def job(connection: object) -> None:
        pass

    def positional(x: int, /) -> None:
        pass

    def unresolved(x: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
        pass

    for function in (job, positional, unresolved):
        with pytest.raises(TypeError, match=r"cannot be (filled in|read)"):
            Spawnables().add(function)
    with pytest.raises(TypeError, match="not callable"):
        Spawnables().add(3)  # type: ignore[arg-type]


def test_spawnable_name_is_taken_by_another_function_only() -> None:
    registered = Spawnables()
    registered.add(crawl)
    registered.add(crawl)
    with pytest.raises(ValueError, match="taken"):
        registered.add(lambda: None, "crawl")
    with pytest.raises(ValueError, match="printable"):
        registered.add(crawl, "a\nb")
    assert len(registered) == 1


def test_decorator_registers_and_returns_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Spawnables()
    monkeypatch.setattr(module, "registry", own)

    @spawnable
    def one() -> int:
        return 1

    @spawnable(name="second")
    def two() -> int:
        return 2

    assert (one(), two()) == (1, 2)
    assert "one" in own
    assert "second" in own
    assert own.find("second").function is two


def test_spawnable_takes_classes_and_bound_methods() -> None:
    class Job:
        def __init__(self, size: int = 1) -> None:
            self.size = size

        def run(self, times: int) -> None:
            pass

    registered = Spawnables()
    registered.add(Job)
    registered.add(Job().run)
    assert [[p["name"] for p in row["parameters"]] for row in registered.rows()] == [["size"], ["times"]]
