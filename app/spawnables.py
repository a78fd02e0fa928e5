"""What the spawn button offers: callables that the program registered by name, and nothing else.

Spawning from a web page is running code, so the page never names code: no dotted path, no source text. A program
marks what may be spawned with `@greenscope.spawnable`; the signature becomes a form (type, default, required, help) and
the same description validates what comes back. JSON arguments are checked strictly, each one by itself, so that an
answer can say which argument is wrong and what would be right.

Types: int, float, bool, str, an Enum (by member name), Literal, Optional of these, list[...] of these. A parameter of
another type keeps its default and is not offered; without a default it is an error when registering.
"""

import enum
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])
TypeName = Literal["int", "float", "bool", "str", "enum", "list"]

MAX_LIST = 1000
MAX_NAME = 100


class UnknownSpawnable(LookupError):
    """No callable is registered under this name."""


class ArgumentErrors(ValueError):
    """Arguments that do not fit; `errors` maps each argument to what is wrong with it."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__("; ".join(f"{name}: {error}" for name, error in self.errors.items()))


@dataclass(frozen=True, slots=True)
class Kind:
    """A parameter's type: `choices` of an enum or Literal (label -> value), `items` of a list."""

    name: TypeName
    nullable: bool = False
    choices: tuple[tuple[str, Any], ...] = ()
    items: "Kind | None" = None

    def fields(self) -> dict[str, Any]:
        """Describe the type for a form."""
        described: dict[str, Any] = {"type": self.name, "nullable": self.nullable}
        if self.choices:
            described["choices"] = [label for label, _ in self.choices]
        if self.items is not None:
            described["items"] = self.items.fields()
        return described


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a spawnable, as its form shows it; `default` is JSON-ready (None when required)."""

    name: str
    kind: Kind
    required: bool
    default: Any = None

    def fields(self) -> dict[str, Any]:
        """Describe the parameter for a form."""
        return {"name": self.name, **self.kind.fields(), "required": self.required, "default": self.default}


@dataclass(frozen=True, slots=True)
class Spawnable:
    """A registered callable with its form."""

    name: str
    function: Callable[..., Any]
    doc: str
    parameters: tuple[Parameter, ...]

    def fields(self) -> dict[str, Any]:
        """Describe the spawnable for a form; see interface `GET /api/spawnables`."""
        return {"name": self.name, "doc": self.doc, "parameters": [p.fields() for p in self.parameters]}

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments to call with; raises ArgumentErrors naming every bad one."""
        errors: dict[str, str] = {}
        bound: dict[str, Any] = {}
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in arguments:
            if name not in known:
                takes = ", ".join(known) or "no arguments"
                errors[str(name)[:MAX_NAME]] = f"unknown argument; {self.name} takes {takes}"
        for parameter in self.parameters:
            if parameter.name in arguments:
                try:
                    bound[parameter.name] = _convert(arguments[parameter.name], parameter.kind)
                except ValueError as error:
                    errors[parameter.name] = str(error)
            elif parameter.required:
                errors[parameter.name] = f"missing; {_wanted(parameter.kind)}"
        if errors:
            raise ArgumentErrors(errors)
        return bound


def _wanted(kind: Kind) -> str:
    if kind.choices:
        wanted = "must be one of " + ", ".join(label for label, _ in kind.choices)
    elif kind.items is not None:
        wanted = f"must be a list in which each item {_wanted(kind.items)}"
    else:
        words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
        wanted = f"must be {words[kind.name]}"
    return wanted + (" or null" if kind.nullable else "")


def _convert(value: Any, kind: Kind) -> Any:
    """Return `value` (from JSON) as `kind` asks for; raises ValueError that says what would be right."""
    if value is None and kind.nullable:
        return None
    if kind.choices:
        for label, choice in kind.choices:
            # an enum is chosen by its member's name; a Literal by itself or, from a form, by its label
            if (isinstance(value, str) and value == label) or (type(value) is type(choice) and value == choice):
                return choice
    elif kind.items is not None:
        if isinstance(value, list) and len(value) <= MAX_LIST:
            return _convert_list(value, kind.items)
    elif kind.name == "bool":
        if isinstance(value, bool):
            return value
    elif kind.name == "int":
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif kind.name == "float":
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return number
    elif isinstance(value, str):
        return value
    raise ValueError(_wanted(kind) + (f" (at most {MAX_LIST} items)" if kind.items else ""))


def _convert_list(values: list[Any], kind: Kind) -> list[Any]:
    converted = []
    for index, value in enumerate(values):
        try:
            converted.append(_convert(value, kind))
        except ValueError as error:
            raise ValueError(f"item {index}: {error}") from None
    return converted


def _kind_of(annotation: Any) -> Kind | None:
    """Translate an annotation; None if no form can be made for it."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if annotation in (int, float, bool, str):
        return Kind(annotation.__name__)
    if origin in (typing.Union, types.UnionType):
        rest = [argument for argument in arguments if argument is not type(None)]
        inner = _kind_of(rest[0]) if len(rest) == 1 and len(rest) < len(arguments) else None
        return None if inner is None else Kind(inner.name, True, inner.choices, inner.items)
    if origin is typing.Literal:
        values = [value for value in arguments if value is not None]
        if not values or not all(isinstance(value, (str, int, bool)) for value in values):
            return None
        choices = tuple((value.name if isinstance(value, enum.Enum) else str(value), value) for value in values)
        return Kind("enum", len(values) < len(arguments), choices)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return Kind("enum", choices=tuple((member.name, member) for member in annotation))
    if origin is list or annotation is list:
        items = _kind_of(arguments[0]) if arguments else Kind("str")
        return None if items is None else Kind("list", items=items)
    return None


def _plain(value: Any, kind: Kind) -> Any:
    """Return a default as JSON shows it (an enum member by its name, a choice by its label)."""
    if value is None:
        return None
    if kind.items is not None:
        return [_plain(item, kind.items) for item in value]
    for label, choice in kind.choices:
        if type(value) is type(choice) and value == choice:
            return label
    return value


def _read_parameter(name: str, parameter: inspect.Parameter, annotation: Any) -> Parameter | None:
    """Make a form's field of a signature's parameter; None if it keeps its default unseen."""
    required = parameter.default is inspect.Parameter.empty
    if annotation is inspect.Parameter.empty:
        guess = type(parameter.default)
        annotation = guess if guess in (int, float, bool, str) or issubclass(guess, enum.Enum) else str
        kind = None if parameter.default is None else _kind_of(annotation)
        if parameter.default is None:
            kind = Kind("str", nullable=True)
    else:
        kind = _kind_of(annotation)
    if kind is not None and parameter.default is None and not kind.nullable:
        kind = Kind(kind.name, True, kind.choices, kind.items)
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        kind = None
    if kind is not None and not required:
        default = _plain(parameter.default, kind)
        try:
            _convert(default, kind)
        except ValueError:
            return None  # a default that its own annotation would not take: leave it alone
        return Parameter(name, kind, False, default)
    if kind is None:
        if required:
            raise TypeError(
                f"parameter {name!r} of type {annotation!r} cannot be filled in on a page; use int, float, bool, str, "
                "an Enum, Literal, Optional or list of these as a keyword argument, or give it a default"
            )
        return None
    return Parameter(name, kind, True)


def read_parameters(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Read a callable's signature into form fields; raises TypeError when one can never be filled in."""
    signature = inspect.signature(function)
    target = function if not isinstance(function, type) else function.__init__  # type: ignore[misc]
    try:
        hints = typing.get_type_hints(target, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise TypeError(f"the annotations of {function!r} cannot be read: {error}") from error
    fields = []
    for name, parameter in signature.parameters.items():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        field = _read_parameter(name, parameter, hints.get(name, parameter.annotation))
        if field is not None:
            fields.append(field)
    return tuple(fields)


class Spawnables:
    """A registry of spawnables by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Spawnable] = {}

    def add(self, function: Callable[..., Any], name: str | None = None) -> Spawnable:
        """Register a callable; raises TypeError or ValueError for what cannot be offered.

        The same function defined again (a reloaded module) replaces the old one; another function under a name that
        is taken is an error.
        """
        if not callable(function):
            raise TypeError(f"spawnable: {function!r} is not callable")
        chosen = name if name is not None else getattr(function, "__name__", "")
        if not isinstance(chosen, str) or not 0 < len(chosen) <= MAX_NAME or not chosen.isprintable():
            raise ValueError(f"spawnable: the name {chosen!r} must be 1 to {MAX_NAME} printable characters")
        old = self._by_name.get(chosen)
        if old is not None and _identity(old.function) != _identity(function):
            raise ValueError(f"spawnable: the name {chosen!r} is taken by {old.function!r}; give another with name=")
        spawnable = Spawnable(chosen, function, inspect.getdoc(function) or "", read_parameters(function))
        self._by_name[chosen] = spawnable
        return spawnable

    def find(self, name: str) -> Spawnable:
        """Return the spawnable of this exact name; raises UnknownSpawnable."""
        found = self._by_name.get(name)
        if found is None:
            raise UnknownSpawnable(name)
        return found

    def bind(self, name: str, arguments: Mapping[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
        """Return the callable and its validated keyword arguments; raises UnknownSpawnable or ArgumentErrors."""
        found = self.find(name)
        return found.function, found.bind(arguments)

    def rows(self) -> list[dict[str, Any]]:
        """Describe all spawnables, by name."""
        return [self._by_name[name].fields() for name in sorted(self._by_name)]

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name


def _identity(function: Callable[..., Any]) -> tuple[str, str]:
    return getattr(function, "__module__", ""), getattr(function, "__qualname__", repr(function))


#: what `@greenscope.spawnable` registers in, and what a dashboard offers unless given its own
registry = Spawnables()


@overload
def spawnable(function: F, /) -> F: ...
@overload
def spawnable(*, name: str | None = None) -> Callable[[F], F]: ...
def spawnable(function: F | None = None, /, *, name: str | None = None) -> F | Callable[[F], F]:
    """Offer a callable on the dashboard's spawn form, under its own or a given name.

    Use as `@spawnable` or `@spawnable(name="crawl")`. Returns the callable unchanged. Raises TypeError when a
    parameter can never be filled in, ValueError when the name is taken.
    """

    def register(target: F) -> F:
        registry.add(target, name)
        return target

    return register if function is None else register(function)
