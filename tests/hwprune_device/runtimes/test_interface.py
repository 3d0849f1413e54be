"""What a network takes, as its file says it."""

from __future__ import annotations

from onnx import TensorProto, helper

from hwprune_device.runtimes.interface import batch_symbols


def test_the_batch_is_the_open_size_in_the_first_place_of_each_input_once():
    sizes = (["batch", 3, "rows"], ["batch", "words"], [1, "rows"], [])
    inputs = [
        helper.make_tensor_value_info(f"x{number}", TensorProto.FLOAT, shape)
        for number, shape in enumerate(sizes)
    ]
    model = helper.make_model(helper.make_graph([], "of four inputs", inputs, []))
    assert batch_symbols(model.SerializeToString()) == ("batch",)
