"""What boards are given of a delivered network: ranges of int8 from all calibration images."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from hwprune.pipeline.board_form import COMPARED_INPUTS, board_form
from hwprune_device.job import Target
from hwprune_device.precision.quantized import is_quantized
from hwprune_device.runtimes.onnxrt.runtime import OnnxRuntime
from tests.digits import digit_data, digit_images, digits, labels_of, trained_digits_base


def test_a_board_in_floats_gets_the_network_and_some_images():
    model = trained_digits_base().onnx
    for precision in ("fp32", "fp16", "bf16"):
        form = board_form(model, Target(runtime="trt", precision=precision), digits())
        assert form.model == model and not form.in_int8
        assert [values.shape for values in form.inputs] == [(COMPARED_INPUTS, 1, 8, 8)]


def test_int8_has_the_ranges_of_all_calibration_images():
    model = trained_digits_base().onnx
    form = board_form(model, Target(runtime="trt", precision="int8"), digits())
    graph = onnx.load_model_from_string(form.model)
    assert form.in_int8 and is_quantized(graph)
    first = next(node for node in graph.graph.node if node.op_type == "QuantizeLinear")
    scales = {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}
    largest = float(scales[first.input[1]]) * 127
    assert largest == np.float32(np.abs(digit_images("calibration", 250).numpy()).max())
    images, labels = digit_images("test").numpy(), labels_of(digit_data(), "test").numpy()
    right = [
        (OnnxRuntime().run_network(m, [images])[0].argmax(1) == labels).mean()
        for m in (model, form.model)
    ]
    assert right[1] >= right[0] - 0.02


def test_where_tensorrt_finds_the_ranges_itself_it_gets_all_images():
    target = Target(runtime="trt", precision="int8", options={"calibration": "entropy"})
    form = board_form(trained_digits_base().onnx, target, digits())
    assert not form.in_int8 and len(form.inputs[0]) == 250
