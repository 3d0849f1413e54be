"""What every runtime holds: networks of any inputs and outputs are measured and run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from hwprune_device.job import Target
from hwprune_device.runtimes import (
    NoProfileError,
    Profiled,
    Runtime,
    make_runtime,
)
from hwprune_device.runtimes.onnxrt.options import DENORMALS
from tests.doubles.jetson_runtime import scripted_runtime
from tests.doubles.scripted_tensorrt import Script
from tests.farm.base import base_network
from tests.hwprune_device.chain import chain
from tests.hwprune_device.networks import (
    CHANNELS,
    LENGTH,
    chosen,
    doubled_in_float64,
    heard_and_read,
    heard_and_read_inputs,
    numbers,
    rows,
    signals,
    with_mean,
)

MODELS = {
    "several": heard_and_read(),
    "typed": chosen("mask:0", "halves,1", "lambda"),
    "signals": signals(),
    "rows": rows(),
}


ROOMY = ("onnxrt", "torch", "trt")
"""Those that take any batch, and every operator of the networks here."""
ALL = pytest.mark.parametrize("runtime", [*ROOMY, "ncnn"], indirect=True)


@pytest.fixture(params=ROOMY)
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Each of them; TensorRT is scripted, and computes what the graph says."""
    # Of the tests' own process: flushing denormals would change arithmetic for all tests after.
    monkeypatch.setenv(DENORMALS, "keep")
    monkeypatch.setenv("HWPRUNE_CACHE", str(tmp_path / "cache"))
    if request.param == "trt":
        made = scripted_runtime(Script())
        yield made
        made.close()
        return
    yield make_runtime(request.param)


def wanted(model: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """By ONNX Runtime itself."""
    session = onnxruntime.InferenceSession(model)
    names = [entry.name for entry in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert [f.shape for f in found] == [e.shape for e in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_networks_of_any_form_are_measured(runtime: Runtime, model: bytes):
    name = str(runtime.describe()["name"])
    options = {"denormals": "keep"} if name == "onnxrt" else {}
    target = Target(runtime=name, batch=2, options=options)
    network = runtime.load(model, target, {"N": 2}, lambda: None)
    network.weigh()
    network.run()
    assert network.memory.weights_mb >= 0
    network.close()


def test_a_runtime_with_a_profile_names_each_layer_and_what_it_took(runtime: Runtime):
    assert isinstance(runtime, Profiled)
    name = str(runtime.describe()["name"])
    options = {"onnxrt": {"denormals": "keep"}, "torch": {"device": "cpu"}}.get(name, {})
    parts = runtime.profile(
        base_network().onnx, Target(runtime=name, batch=2, options=options), {"N": 2}
    )
    assert [part.layer for part in parts if "Conv" in part.op] == ["w0", "w1", "w2"]
    assert "fc" in {part.layer for part in parts}
    assert all(part.name and part.op and part.layer and part.ms >= 0 for part in parts)
    assert 0 < sum(part.ms for part in parts) < 1000


def test_a_target_under_which_kernels_cannot_be_told_apart_says_why():
    target = Target(runtime="torch", options={"device": "cpu", "mode": "inductor"})
    with pytest.raises(NoProfileError, match="in mode inductor"):
        make_runtime("torch").profile(chain(), target, {"N": 1})  # type: ignore[attr-defined]


def test_every_output_comes_in_its_order_for_inputs_in_theirs(runtime: Runtime):
    model, inputs = heard_and_read(), heard_and_read_inputs(3)
    found = runtime.run_network(model, inputs)
    assert_same(found, wanted(model, inputs))
    # Halves are told as float32, and integers as they are.
    assert [output.dtype.name for output in found] == ["float32", "int64", "float32"]


def test_a_network_of_fixed_batch_runs_as_often_as_needed(runtime: Runtime):
    inputs = heard_and_read_inputs(5)
    found = runtime.run_network(heard_and_read(batch=2), inputs)
    assert_same(found, wanted(heard_and_read(), inputs))
    one = runtime.run_network(heard_and_read(batch=2), [values[:1] for values in inputs])
    assert_same(one, [output[:1] for output in found])


@ALL
@pytest.mark.parametrize(
    ("model", "shape"), [(signals(), (3, CHANNELS, LENGTH)), (rows(), (3, LENGTH))]
)
def test_inputs_need_not_be_images(runtime: Runtime, model: bytes, shape: tuple[int, ...]):
    assert_same(runtime.run_network(model, [numbers(*shape)]), wanted(model, [numbers(*shape)]))


def test_an_output_without_a_batch_axis_is_given_where_all_runs_at_once(runtime: Runtime):
    values = numbers(2, LENGTH)
    twice, mean = runtime.run_network(with_mean(batch=2), [values])
    np.testing.assert_allclose(twice, 2 * values, rtol=1e-6)
    assert mean.shape == () and mean == pytest.approx(2 * values.mean(), rel=1e-4)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_an_output_without_a_batch_axis_cannot_be_put_together(runtime: Runtime, count: int):
    with pytest.raises(ValueError, match=r"output 'mean' .* no batch axis.* 2 items at once"):
        runtime.run_network(with_mean(batch=2), [numbers(count, LENGTH)])


SIGNAL, TEXT = heard_and_read_inputs(2)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([SIGNAL], "takes 2 inputs: 'signal' float32 [N, 3, 8], 'words' int64 [N, 8]; given: 1"),
        ([SIGNAL, TEXT, TEXT], "takes 2 inputs"),
        ([TEXT, SIGNAL], "'signal' float32 [N, 3, 8]; given: int64 [2, 8]"),
        ([SIGNAL, TEXT.astype(np.int32)], "'words' int64 [N, 8]; given: int32 [2, 8]"),
        ([SIGNAL.astype(np.float64), TEXT], "given: float64 [2, 3, 8]"),
        ([SIGNAL[:, :1], TEXT], "given: float32 [2, 1, 8]"),
        ([SIGNAL, TEXT[0]], "given: int64 [8]"),
        ([SIGNAL, TEXT[:1]], "the same number of items, one at least"),
        ([SIGNAL[:0], TEXT[:0]], "the same number of items, one at least"),
    ],
    ids=["few", "many", "swapped", "int32", "float64", "broadcast", "flat", "uneven", "none"],
)
@ALL
def test_inputs_that_are_not_the_network_s_are_refused(runtime: Runtime, inputs, said: str):
    with pytest.raises(ValueError, match=re.escape(said)):
        runtime.run_network(heard_and_read(), inputs)


def test_inputs_of_every_type_and_name_are_taken(runtime: Runtime):
    random = np.random.default_rng(4)
    inputs = [
        random.random((3, LENGTH)) > 0.5,
        numbers(3, LENGTH).astype(np.float16),
        random.integers(0, 9, (3, LENGTH)).astype(np.int32),
    ]
    model = MODELS["typed"]
    assert_same(runtime.run_network(model, inputs), wanted(model, inputs))


@pytest.mark.parametrize("name", ["onnxrt", "torch"])
def test_float64_stays_float64(name: str, monkeypatch: pytest.MonkeyPatch):
    """TensorRT has none."""
    monkeypatch.setenv(DENORMALS, "keep")
    values = np.array([[1.0 + 1e-12] * LENGTH])
    (found,) = make_runtime(name).run_network(doubled_in_float64(), [values])
    assert found.dtype == np.float64 and np.array_equal(found, 2 * values)
