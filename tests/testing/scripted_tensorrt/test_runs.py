"""Runs: real outputs in scripted times, and what goes wrong on demand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwprune.testing.scripted_cuda import VirtualClock
from hwprune.testing.tensorrt_surface import releases
from hwprune_device.runtimes.onnxrt.runtime import OnnxRuntime
from tests.testing.scripted_tensorrt.rig import MODEL, Rig


def run(rig: Rig, engine: Any, inputs: np.ndarray) -> tuple[np.ndarray, float]:
    """First output and milliseconds."""
    context, stream, cuda = engine.create_execution_context(), rig.cuda.Stream(), rig.cuda
    host, device = {}, {}
    for name in (engine.get_tensor_name(at) for at in range(engine.num_io_tensors)):
        dtype = rig.trt.nptype(engine.get_tensor_dtype(name))
        host[name] = cuda.pagelocked_empty(tuple(engine.get_tensor_shape(name)), dtype)
        device[name] = cuda.mem_alloc(host[name].nbytes)
        assert context.set_tensor_address(name, int(device[name]))
    first, *_, last = host
    host[first][...] = inputs
    cuda.memcpy_htod_async(device[first], host[first], stream)
    before, after = cuda.Event().record(stream), cuda.Event()
    assert context.execute_async_v3(stream_handle=stream.handle)
    after.record(stream)
    cuda.memcpy_dtoh_async(host[last], device[last], stream)
    stream.synchronize()
    return host[last].copy(), before.time_till(after)


@pytest.mark.parametrize("version", releases())
def test_an_engine_computes_what_the_network_does(rig: Any, version: str):
    bench = rig(version, execution_ms=3.0)
    inputs = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    found, took_ms = run(bench, bench.engine(bench.build(MODEL)), inputs)
    (wanted,) = OnnxRuntime().run_network(MODEL, [inputs])
    assert np.allclose(found, wanted, atol=1e-5)
    assert took_ms == pytest.approx(3.0, abs=0.01)


def test_a_run_without_addresses_is_refused(rig: Any):
    bench = rig()
    context = bench.engine(bench.build(MODEL)).create_execution_context()
    assert not context.execute_async_v3(bench.cuda.Stream().handle)
    assert "Address is not set for input tensor" in bench.errors()


def test_builds_differ_as_scripted(rig: Any):
    bench = rig(build_factors=(1.0, 1.5), execution_ms=2.0)
    inputs = np.zeros((1, 3, 16, 16), np.float32)
    times = [run(bench, bench.engine(bench.build(MODEL)), inputs)[1] for _ in range(3)]
    assert times == pytest.approx([2.0, 3.0, 2.0], abs=0.01)


def test_a_run_can_break_the_device(rig: Any):
    bench = rig(breaks_at_run=0)
    engine = bench.engine(bench.build(MODEL))
    with pytest.raises(bench.cuda.LogicError, match="illegal memory access"):
        run(bench, engine, np.zeros((1, 3, 16, 16), np.float32))
    with pytest.raises(bench.cuda.LogicError, match="illegal memory access"):
        bench.cuda.mem_get_info()


def test_a_run_can_hang(rig: Any):
    bench = rig(hangs_at_run=0, clock=VirtualClock())
    with pytest.raises(TimeoutError, match="never ends"):
        run(bench, bench.engine(bench.build(MODEL)), np.zeros((1, 3, 16, 16), np.float32))
