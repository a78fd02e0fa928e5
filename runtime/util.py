"""Small helpers under the names that gevent's users know."""

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["wrap_errors"]


class wrap_errors:
    """Make a function return the exceptions of certain classes instead of raising them.

    An error that leaves a greenlet is reported on stderr; `spawn(wrap_errors(OSError, fetch), url)` says which ones
    are expected there. `errors` is an exception class, or a tuple of them. str, repr and attributes are the function's.
    """

    def __init__(self, errors: Any, func: Callable[..., Any]) -> None:
        self._errors = errors
        self._func = func
        functools.update_wrapper(self, func)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._func(*args, **kwargs)
        except self._errors as error:
            return error

    def __str__(self) -> str:
        return str(self._func)

    def __repr__(self) -> str:
        return repr(self._func)

    def __getattr__(self, name: str) -> Any:
        if name == "_func":  # not yet made, as in a copy
            raise AttributeError(name)
        return getattr(self._func, name)
