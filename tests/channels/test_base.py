"""A base network is known by its content, and refuses what it cannot handle."""

from __future__ import annotations

import onnx
import pytest

from hwprune.channels.base import make_base
from hwprune.errors import NetworkError
from tests.channels.small_graphs import parsed
from tests.traced import traced


def test_same_content_has_the_same_id_and_another_plan_another() -> None:
    base = traced("digits_cnn").base
    assert make_base(base.onnx).base_id == base.base_id
    assert make_base(base.onnx, ignore=["conv1"]).base_id != base.base_id


def test_inputs_and_outputs_are_known() -> None:
    base = traced("digits_cnn").base
    assert base.input_shape == (1, 1, 8, 8)
    graph = onnx.load_model_from_string(base.onnx).graph
    (given,) = base.inputs
    assert (given.name, given.dtype) == (graph.input[0].name, "float32")
    assert base.outputs == (graph.output[0].name,)


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(NetworkError, match="no ONNX model"):
        make_base(b"not a model")


def test_several_inputs_and_outputs_are_known() -> None:
    text = "g (float[N,4] a, int64[2,4] b) => (float[N,4] y, int64[2,4] z)"
    base = make_base(parsed(text + " { y = Relu(a) z = Abs(b) }"))
    assert [(i.name, i.shape, i.dtype, i.any_batch) for i in base.inputs] == [
        ("a", (1, 4), "float32", True),
        ("b", (2, 4), "int64", False),
    ]
    assert base.outputs == ("y", "z")


def test_open_image_size_is_refused() -> None:
    model = parsed("g (float[N,3,H,W] x) => (float[N,3,H,W] y) { y = Relu(x) }")
    with pytest.raises(NetworkError, match="axes of unknown size"):
        make_base(model)
