"""The scripted GPU: its time, its memory, its errors, and its books."""

from __future__ import annotations

import ctypes
import time
import types
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from tests.doubles.scripted_cuda import (
    GpuFacts,
    ScriptedGpu,
    VirtualClock,
    scripted_driver_library,
    scripted_pycuda,
)


@pytest.fixture
def gpu() -> ScriptedGpu:
    return ScriptedGpu(GpuFacts(total_bytes=1 << 30, taken_bytes=0, copy_bytes_per_ms=1e6))


@pytest.fixture
def cuda(gpu: ScriptedGpu) -> Iterator[types.ModuleType]:
    driver = scripted_pycuda(gpu)
    driver.init()
    context = driver.Device(0).make_context()
    yield driver
    context.pop()
    context.detach()


def work(gpu: ScriptedGpu, stream, lasts_ms: float, act=lambda: None) -> None:
    gpu.launch(gpu.queue(stream.handle, "test"), act, lambda: lasts_ms)


def test_values_go_to_the_device_and_back(cuda):
    stream, values = cuda.Stream(), cuda.pagelocked_empty((2, 3), np.float32)
    values[...] = np.arange(6).reshape(2, 3)
    device, back = cuda.mem_alloc(values.nbytes), cuda.pagelocked_empty((2, 3), np.float32)
    cuda.memcpy_htod_async(device, values, stream)
    cuda.memcpy_dtoh_async(back, device, stream)
    stream.synchronize()
    assert np.array_equal(back, values)


def test_a_copy_from_pinned_memory_happens_in_its_turn(gpu, cuda):
    stream, values = cuda.Stream(), cuda.pagelocked_empty(4, np.uint8)
    values[...] = 1
    device, back = cuda.mem_alloc(4), np.zeros(4, np.uint8)
    work(gpu, stream, 5.0)
    cuda.memcpy_htod_async(device, values, stream)
    values[...] = 2
    stream.synchronize()
    cuda.memcpy_dtoh(back, device)
    assert back.tolist() == [2] * 4


def test_events_tell_the_time_of_the_work_between_them(gpu, cuda):
    stream, before, after = cuda.Stream(), cuda.Event(), cuda.Event()
    start = time.perf_counter()
    before.record(stream)
    work(gpu, stream, 20.0)
    after.record(stream)
    assert not after.query()
    with pytest.raises(cuda.RuntimeError, match="device not ready"):
        before.time_till(after)
    after.synchronize()
    assert before.time_till(after) == pytest.approx(20.0, abs=0.01)
    assert time.perf_counter() - start >= 0.0199


def test_virtual_time_costs_none():
    gpu = ScriptedGpu(clock=VirtualClock())
    cuda = scripted_pycuda(gpu)
    cuda.init()
    context = cuda.Device(0).make_context()
    stream = cuda.Stream()
    work(gpu, stream, 3600e3)
    stream.synchronize()
    assert gpu.clock.now_ms() == 3600e3
    context.pop()


def test_memory_runs_out_as_with_pycuda(cuda):
    with pytest.raises(cuda.MemoryError, match="cuMemAlloc failed: out of memory"):
        cuda.mem_alloc(2 << 30)
    free, total = cuda.mem_get_info()
    held = cuda.mem_alloc(1 << 20)
    assert cuda.mem_get_info() == (free - (1 << 20), total)
    held.free()
    assert cuda.mem_get_info() == (free, total)
    with pytest.raises(cuda.LogicError, match="invalid resource handle"):
        held.free()


def test_nothing_works_without_a_current_context(gpu):
    cuda = scripted_pycuda(gpu)
    with pytest.raises(cuda.LogicError, match="initialization error"):
        cuda.Device(0)
    cuda.init()
    context = cuda.Device(0).retain_primary_context()
    with pytest.raises(cuda.LogicError, match="no currently active context"):
        cuda.Stream()
    context.push()
    assert cuda.Stream().is_done()
    context.pop()
    context.detach()
    assert gpu.ledger.alive == {}


def test_a_machine_without_a_gpu():
    cuda = scripted_pycuda(ScriptedGpu(GpuFacts(devices=0)))
    with pytest.raises(cuda.RuntimeError, match="no CUDA-capable device"):
        cuda.init()


def test_work_on_freed_memory_breaks_the_device_for_good(gpu, cuda):
    stream, device = cuda.Stream(), cuda.mem_alloc(16)
    work(gpu, stream, 1.0, lambda at=int(device): gpu.memory.view(at, 16))
    device.free()
    with pytest.raises(cuda.LogicError, match="illegal memory access"):
        stream.synchronize()
    with pytest.raises(cuda.LogicError, match="illegal memory access"):
        cuda.mem_alloc(16)


def test_books_are_kept_of_all_that_has_to_be_freed(gpu, cuda):
    stream, event, device = cuda.Stream(), cuda.Event(), cuda.mem_alloc(100)
    pinned = cuda.pagelocked_empty(10, np.float32)
    alive = gpu.ledger.alive
    assert alive == {
        "context": 1,
        "device memory": 1,
        "event": 1,
        "pinned host memory": 1,
        "stream": 1,
    }
    view = pinned[2:]
    del pinned, event, stream
    device.free()
    assert gpu.ledger.alive == {"context": 1, "pinned host memory": 1}
    del view
    assert gpu.ledger.alive == {"context": 1}


def test_what_outlives_its_context_is_told(gpu):
    cuda = scripted_pycuda(gpu)
    cuda.init()
    context = cuda.Device(0).make_context()
    kept = cuda.mem_alloc(100)
    context.pop()
    context.detach()
    assert gpu.ledger.alive == {}
    assert gpu.ledger.orphaned == {"device memory": 1}
    kept.free()


def test_what_is_freed_in_another_thread_is_not_freed(gpu, cuda):
    import threading

    held = [cuda.Stream()]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        thread = threading.Thread(target=held.clear)
        thread.start()
        thread.join()
    assert "out-of-thread" in str(said[0].message)
    assert gpu.ledger.alive["stream"] == 1


def captured(cuda, library, gpu, put, mode: int = 0) -> tuple[int, ctypes.c_void_p]:
    stream, graph = cuda.Stream(), ctypes.c_void_p()
    assert library.cuStreamBeginCapture_v2(ctypes.c_void_p(stream.handle), mode) == 0
    put(stream)
    return library.cuStreamEndCapture(ctypes.c_void_p(stream.handle), ctypes.byref(graph)), graph


def test_a_graph_replays_what_was_captured(gpu, cuda):
    library, seen = scripted_driver_library(gpu), []
    code, graph = captured(
        cuda, library, gpu, lambda stream: work(gpu, stream, 3.0, lambda: seen.append(1))
    )
    assert code == 0 and not seen
    ready, stream = ctypes.c_void_p(), cuda.Stream()
    before, after = cuda.Event(), cuda.Event()
    instantiate = library.cuGraphInstantiateWithFlags
    assert instantiate(ctypes.byref(ready), graph, ctypes.c_ulonglong(0)) == 0
    before.record(stream)
    for _ in range(2):
        assert library.cuGraphLaunch(ready, ctypes.c_void_p(stream.handle)) == 0
    after.record(stream).synchronize()
    assert before.time_till(after) == pytest.approx(6.0, abs=0.01)
    assert len(seen) == 2
    assert library.cuGraphExecDestroy(ready) == library.cuGraphDestroy(graph) == 0
    assert library.cuGraphDestroy(graph) == 1
    assert not {"graph", "graph executable"} & set(gpu.ledger.alive)


@pytest.mark.parametrize("mode", [0, 1])
def test_what_a_capture_does_not_allow_ends_it(gpu, cuda, mode: int):
    library = scripted_driver_library(gpu)

    def allocate(stream) -> None:
        with pytest.raises(cuda.LogicError, match="not permitted when stream is capturing"):
            cuda.mem_alloc(16)

    code, graph = captured(cuda, library, gpu, allocate, mode)
    assert code == 901 and not graph
    with pytest.raises(AttributeError, match="cuNoSuchThing"):
        _ = library.cuNoSuchThing
