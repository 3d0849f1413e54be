"""A reading as data: what is not known stays unknown, and what older versions wrote is read."""

from __future__ import annotations

import json

import pytest

from hwprune_device.reading import Memory, Reading
from tests.readings import UNTOLD, reading


def test_memory_that_a_runtime_does_not_tell_is_no_number_and_stays_so():
    assert UNTOLD.peak_mb is None
    kept = reading(memory=UNTOLD)
    assert Reading.from_json(json.loads(json.dumps(kept.to_json()))) == kept


def test_a_reading_of_an_older_version_keeps_its_lower_bound_and_its_doubt():
    doubt = "peak activations are a lower bound: CUDAExecutionProvider does not tell"
    old = reading(doubts=(doubt,)).to_json()
    old["memory"] = {"weights_mb": 3.0, "activations_mb": 1.5, "creation_peak_mb": 9.0}
    found = Reading.from_json(json.loads(json.dumps(old)))
    assert found.memory == Memory(weights_mb=3.0, activations_mb=1.5, creation_peak_mb=9.0)
    assert found.memory.peak_mb == pytest.approx(4.5) and found.doubts == (doubt,)
