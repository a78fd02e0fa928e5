"""The demo: real work over real files, written as any program on `greenscope.runtime` would be."""

from greenscope.app.demo.survey import Survey, survey_forever

__all__ = ["Survey", "survey_forever"]
