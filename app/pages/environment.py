"""The template environment: autoescape always, undefined names are faults, filters from one file.

Whatever the observed program calls its greenlets reaches HTML only through here, escaped. Data for scripts goes into
`data-` attributes with `tojson`, never into a script element.
"""

from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from greenscope.app.attention import link_to
from greenscope.app.model import STATES
from greenscope.app.pages import filters
from greenscope.app.pages.signatures import type_words
from greenscope.app.pages.slots import slot_bar
from greenscope.app.pages.weight import Room, fit

TEMPLATES = Path(__file__).resolve().parent.parent.parent / "templates"


@lru_cache(maxsize=1)
def build_environment() -> Environment:
    """Make the one environment; templates are read once and kept, so a page does no file access when it renders."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters.FORMATS)
    environment.filters["formatted"] = filters.formatted
    environment.filters["type_words"] = type_words
    environment.filters["finding_link"] = link_to
    environment.globals.update(
        slot_bar=slot_bar,
        fit=fit,
        Room=Room,
        glyphs=filters.GLYPHS,
        kinds=filters.KINDS,
        severities=filters.SEVERITIES,
        states=STATES,
        live=("pending", "ready", "running", "waiting"),
    )
    return environment
