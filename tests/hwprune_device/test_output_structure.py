"""Outputs of any arrangement are written down as JSON and put together again."""

from __future__ import annotations

import json
from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprune_device.output_structure import (
    arranged,
    leaves_of,
    record_structure,
    recorded_structure,
    structure_of,
)
from hwprune_device.values import metadata
from tests.channels.small_graphs import parsed

LEAVES = st.builds(lambda: np.zeros(1))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
OUTPUTS = st.recursive(
    LEAVES | PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
)


def same(one: Any, other: Any) -> bool:
    """Whether two outputs are one: the same leaves in containers of one type and order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one is other if isinstance(one, np.ndarray) else one == other


@given(OUTPUTS)
def test_outputs_come_back_as_they_were(outputs: Any) -> None:
    written = json.loads(json.dumps(structure_of(outputs)))
    assert same(arranged(leaves_of(outputs), written), outputs)


Boxes = namedtuple("Boxes", "corners scores")


@dataclass
class Found:
    logits: np.ndarray
    loss: np.ndarray | None = None


@pytest.mark.parametrize(
    ("outputs", "plain"),
    [
        (OrderedDict(z=np.zeros(1), a=np.zeros(2)), dict),
        (UserDict(z=np.zeros(1), a=np.zeros(2)), dict),
        (Found(np.zeros(1)), dict),
        (Boxes(np.zeros(1), np.zeros(2)), tuple),
    ],
)
def test_containers_of_any_kind_come_back_as_plain_ones(outputs: Any, plain: type) -> None:
    leaves = leaves_of(outputs)
    again = arranged(leaves, structure_of(outputs))
    assert type(again) is plain
    assert leaves_of(again) == leaves
    if plain is dict:
        assert list(again) == (["logits", "loss"] if isinstance(outputs, Found) else ["z", "a"])


def test_another_number_of_outputs_is_refused() -> None:
    structure = structure_of({"a": np.zeros(1), "b": [np.zeros(1)]})
    with pytest.raises(ValueError, match="3 outputs do not fit an arrangement of 2"):
        arranged([1, 2, 3], structure)


def test_a_key_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="texts, whole numbers"):
        structure_of({(1, 2): np.zeros(1)})


def graph() -> onnx.ModelProto:
    return onnx.load_model_from_string(
        parsed("g (float[2] x) => (float[2] y, float[2] z) { y = Relu(x) z = Neg(x) }")
    )


def test_only_what_is_unusual_is_noted_beside_what_the_model_says_already() -> None:
    model = graph()
    onnx.helper.set_model_props(model, {"author": "somebody"})
    for usual in ({"tuple": [{}, {}]}, {"list": [{}]}):
        record_structure(model, usual)
        assert metadata(model) == {"author": "somebody"}
        assert arranged([1, 2], recorded_structure(model)) == (1, 2)
    record_structure(model, structure_of({"y": object(), "z": object()}))
    assert metadata(model)["author"] == "somebody"
    assert arranged([1, 2], recorded_structure(model)) == {"y": 1, "z": 2}


def test_a_note_that_no_longer_fits_the_graph_is_passed_over() -> None:
    model = graph()
    record_structure(model, structure_of([object(), object()]))
    del model.graph.output[1]
    assert arranged([1], recorded_structure(model)) == 1
