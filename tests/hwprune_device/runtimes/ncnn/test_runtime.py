"""ncnn on this processor: ONNX Runtime's outputs, ncnn's memory, no network half converted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwprune_device.job import Protocol, Target
from hwprune_device.plan import CutPlan
from hwprune_device.reading import Failure, Reading
from hwprune_device.runtimes.ncnn.graph import fixed
from hwprune_device.runtimes.ncnn.runtime import NcnnRuntime
from tests.hwprune_device.board import Board, running
from tests.hwprune_device.chain import WIDTHS, chain, job, name, plan
from tests.hwprune_device.networks import (
    heard_and_read,
    heard_and_read_inputs,
    numbers,
    with_mean,
)
from tests.network.test_coverage import case

IMAGES = np.random.default_rng(1).standard_normal((3, 3, 16, 16)).astype(np.float32)
HALF = (8, 16, 16)


def target(threads: int = 1, precision: str = "fp32", **options) -> Target:
    return Target(runtime="ncnn", threads=threads, precision=precision, options=options)


@pytest.fixture(scope="module")
def board():
    with running() as board:
        board.place(chain(), plan())
        yield board


def every_other(starts: int = 0, end: int = 2**31 - 1) -> bytes:
    """Each second row and column of an image, as the shortcut of a CIFAR ResNet takes them."""
    constants = {"starts": [starts, 0], "ends": [end, end], "axes": [2, 3], "steps": [2, 2]}
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 9, 8])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Slice", ["x", *constants], ["z"], name="skips"),
        helper.make_node("Relu", ["z"], ["y"]),
    ]
    held = [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "g", [image], [made], held)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def memory_of(model: bytes, wanted: Target):
    network = NcnnRuntime().load(model, wanted, {"N": 1})
    network.weigh()
    assert network.doubts == ()
    network.close()
    return network.memory


def test_candidates_get_readings_that_rank_as_their_work_does(board: Board):
    outcomes = board.measure(job([HALF, WIDTHS], target=target(), protocol=Protocol(rounds=15)))
    half, whole = outcomes[name(HALF)], outcomes[name(WIDTHS)]
    assert isinstance(half, Reading) and isinstance(whole, Reading), outcomes
    assert half.ratio < 0.9 * whole.ratio
    assert half.target["runtime"] == "ncnn" and half.target["pnnx"]
    assert half.memory.weights_mb < whole.memory.weights_mb
    assert half.conditions["converting_s"] > 0


def test_several_threads_give_the_same_outputs():
    (one,) = NcnnRuntime().run_network(chain(), [IMAGES], target())
    (two,) = NcnnRuntime().run_network(chain(), [IMAGES], target(threads=2))
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("precision", "off"), [("fp32", 1e-5), ("fp16", 5e-3), ("bf16", 5e-2)])
def test_outputs_are_those_of_onnx_runtime_as_far_as_the_precision_goes(precision, off):
    (found,) = NcnnRuntime().run_network(chain(), [IMAGES], target(precision=precision))
    (wanted,) = onnxruntime.InferenceSession(chain()).run(None, {"x": IMAGES})
    apart = np.abs(found - wanted).max() / np.abs(wanted).max()
    assert (0 if precision == "fp32" else 1e-5) < apart + 1e-12 <= off


@pytest.mark.parametrize("end", [9, 2**31 - 1])
def test_rows_and_columns_may_be_skipped(end: int):
    image = numbers(2, 3, 9, 8)
    (found,) = NcnnRuntime().run_network(every_other(end=end), [image])
    assert np.array_equal(found, np.maximum(image[:, :, ::2, ::2], 0))


@pytest.mark.parametrize("model", [every_other(starts=1), every_other(end=7)], ids=["from", "to"])
def test_a_slice_that_leaves_out_more_is_no_pooling(model):
    kinds = [node.op_type for node in fixed(model, [(1, 3, 9, 8)]).graph.node]
    assert kinds == ["Slice", "Relu"]


def test_memory_is_what_ncnn_holds_and_the_same_each_time():
    first, again = memory_of(chain(), target()), memory_of(chain(), target())
    bytes_of_weights = sum(
        numpy_helper.to_array(t).nbytes
        for t in onnx.load_model_from_string(chain()).graph.initializer
    )
    # Winograd's copies of a kernel are several times as large.
    assert first.weights_mb > bytes_of_weights / 1e6
    plain = memory_of(chain(), target(winograd=False))
    assert plain.weights_mb < first.weights_mb
    assert first.activations_mb == again.activations_mb > 0
    assert first.weights_mb == pytest.approx(again.weights_mb, rel=0.02)


def test_an_operator_that_ncnn_lacks_is_named():
    # ncnn has a layer ArgMax of its own, which is another one.
    with pytest.raises(ValueError, match=r"ncnn has no layer for .*ArgMax \(ArgMax_"):
        NcnnRuntime().run_network(heard_and_read(), heard_and_read_inputs(1))


def test_a_network_that_cannot_be_converted_is_a_failure_that_says_so():
    with running() as board:
        board.place(every_other(starts=1), CutPlan(groups=(), axes=(), literals=()))
        outcomes = board.measure(job([()], widths=(), target=target()))
    (failure,) = outcomes.values()
    assert isinstance(failure, Failure) and failure.stage == "build"
    assert "slice with step 2 is not supported" in failure.message


def test_an_output_of_another_size_is_refused_before_anything_is_timed():
    """pnnx takes an axis of torch's own encoder for the batch."""
    network = NcnnRuntime().load(case("torch encoder").base.onnx, target(), {"batch": 1})
    with pytest.raises(ValueError, match="pnnx did not convert the network rightly: output"):
        network.weigh()


def test_one_item_at_a_time_and_no_more():
    with pytest.raises(ValueError, match="one item at a time; the target asks for 2"):
        NcnnRuntime().load(chain(), Target(runtime="ncnn", batch=2), {"N": 2})
    with pytest.raises(ValueError, match="one item at a time; the network was written for 2"):
        NcnnRuntime().run_network(with_mean(batch=2), [numbers(2, 8)])


def test_the_files_it_gives_run_in_a_program_that_knows_ncnn_alone(tmp_path: Path):
    import ncnn

    engine = NcnnRuntime().engine(chain(), [IMAGES], target())
    assert list(engine.files) == ["ncnn.param", "ncnn.bin"]
    for suffix, data in engine.files.items():
        (tmp_path / f"model.{suffix}").write_bytes(data)
    net = ncnn.Net()
    for name_of_it, value in engine.facts["option"].items():
        setattr(net.opt, name_of_it, value)
    assert net.load_param(str(tmp_path / "model.ncnn.param")) == 0
    assert net.load_model(str(tmp_path / "model.ncnn.bin")) == 0
    (taken,), (given,) = engine.facts["inputs"], engine.facts["outputs"]
    assert (taken["onnx_name"], taken["shape"], given["onnx_name"]) == ("x", [1, 3, 16, 16], "y")
    extractor = net.create_extractor()
    image = np.ascontiguousarray(IMAGES[0])
    extractor.input(taken["name"], ncnn.Mat(image).clone())
    (wanted,) = NcnnRuntime().run_network(chain(), [IMAGES[:1]])
    np.testing.assert_allclose(extractor.extract(given["name"])[1], wanted[0], rtol=1e-4)
    assert engine.facts["made_for"].startswith("ncnn 1.")
