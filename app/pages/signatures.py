"""A parameter's type in words, for the forms made from signatures."""

from collections.abc import Mapping
from typing import Any


def type_words(field: Mapping[str, Any]) -> str:
    """Say a type in words: `int`, `list of str`, `one of 3`, `float or none`."""
    items = field.get("items")
    if items:
        words = f"list of {type_words(items)}"
    elif field.get("choices"):
        words = f"one of {len(field['choices'])}"
    else:
        words = str(field["type"])
    return f"{words} or none" if field.get("nullable") else words
