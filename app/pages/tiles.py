"""A tile: one figure with its unit, what it means when it grows, and where the stream keeps its next value."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of a page; `path` and `sub_path` name values in the stream's patches ("" when it is not kept live)."""

    key: str
    title: str
    value: Any
    hint: str
    format: str = "count"
    path: str = ""
    unit: str = ""
    level: str = ""
    link: str = ""
    before: str = ""
    sub_path: str = ""
    sub_value: Any = None
    sub_format: str = "rate"
    after: str = ""
