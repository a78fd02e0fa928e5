"""The records that the probes make fast are those of the model."""

import pytest

from greenscope.app.backends import fast_records as make
from greenscope.app.model import Event, GreenletRecord, GreenletSample, Site


def test_records_made_fast_are_the_models_own() -> None:
    site = Site("a.py", 1, "f")
    record = GreenletRecord(1, "n", "f", "a.py", 1, 2.0, None, site, "main", "raw", True)
    sample = GreenletSample(1, "waiting", site, None, 1.0, None, 2.0, 3, 0.5, None)
    assert make.record(1, "n", "f", "a.py", 1, 2.0, None, site, "main", "raw", True) == record
    assert make.sample(1, "waiting", site, None, 1.0, None, 2.0, 3, 0.5) == sample
    made = make.event("spawned", 2.0, 1, None, record, None, sample)
    assert made == Event("spawned", 2.0, greenlet=1, record=record, sample=sample)
    assert type(made) is Event
    with pytest.raises(AttributeError):
        made.t = 3.0  # type: ignore[misc]
