"""The checkpoint: what goes in comes out, with its types, and without pickle."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from hwprune.errors import RunFolderError
from hwprune.search import checkpoint


def test_a_state_comes_back_with_its_types(tmp_path):
    state = {
        "step": {0: {"exp_avg": np.arange(6.0).reshape(2, 3), "step": np.array(3.0)}},
        "betas": (0.9, 0.999),
        "rows": [{"best": None, "n": 3, "ok": True}],
        "seen": np.array([[1, 2]], dtype=np.int64),
    }
    checkpoint.save(tmp_path, state)
    back = checkpoint.load(tmp_path)
    assert back is not None
    assert back["betas"] == (0.9, 0.999)
    assert back["rows"] == state["rows"]
    assert np.array_equal(back["step"][0]["exp_avg"], state["step"][0]["exp_avg"])
    assert back["step"][0]["step"].shape == ()
    assert back["seen"].dtype == np.int64


def test_nothing_saved_is_nothing_loaded(tmp_path):
    assert checkpoint.load(tmp_path) is None


def test_what_cannot_be_plain_is_refused(tmp_path):
    with pytest.raises(TypeError, match="cannot hold"):
        checkpoint.save(tmp_path, {"x": object()})


def test_a_broken_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / checkpoint.FILE).write_bytes(b"not a checkpoint")
    with pytest.raises(RunFolderError, match=checkpoint.FILE):
        checkpoint.load(tmp_path)


def test_chance_goes_on_where_it_was(tmp_path):
    checkpoint.save(tmp_path, checkpoint.chance())
    drawn = (random.random(), np.random.random(), float(torch.rand(1)))
    kept = checkpoint.load(tmp_path)
    assert kept is not None
    checkpoint.set_chance(kept)
    assert (random.random(), np.random.random(), float(torch.rand(1))) == drawn
