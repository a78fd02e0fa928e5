"""Small helpers."""

from greenscope.runtime import spawn
from greenscope.runtime.util import wrap_errors


def parse(text: str) -> int:
    """Parse it."""
    return int(text)


def test_wrap_errors_returns_what_is_expected_and_raises_the_rest() -> None:
    wrapped = wrap_errors((ValueError, KeyError), parse)
    assert wrapped("12") == 12
    assert isinstance(wrapped("x"), ValueError)
    greenlet = spawn(wrapped, "x")
    assert isinstance(greenlet.get(timeout=5), ValueError)
    try:
        wrapped([])
    except TypeError:
        pass
    else:
        raise AssertionError("a TypeError is none of those")


def test_wrap_errors_looks_like_the_function() -> None:
    wrapped = wrap_errors(ValueError, parse)
    assert wrapped.__doc__ == "Parse it."
    assert wrapped.__name__ == "parse"
    assert (str(wrapped), repr(wrapped)) == (str(parse), repr(parse))
