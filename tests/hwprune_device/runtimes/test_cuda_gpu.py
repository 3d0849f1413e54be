"""CUDA for real, where there is an NVIDIA GPU: `pytest -m gpu`; else skipped."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import pytest

from hwprune_device.job import Protocol, Target
from hwprune_device.reading import Failure, Reading
from hwprune_device.runtimes.cuda import Cuda
from hwprune_device.runtimes.trt.network import TrtNetwork
from tests.hwprune_device.board import running
from tests.hwprune_device.chain import chain, job, name, plan
from tests.hwprune_device.runtimes import spinning_board as spinning

pytestmark = pytest.mark.gpu
MAIN = ("-m", "tests.hwprune_device.runtimes.spinning_board")


@pytest.fixture(scope="module")
def cuda() -> Iterator[Cuda]:
    pytest.importorskip("pycuda.driver", reason="needs pycuda")
    from hwprune_device.runtimes.cuda import CudaError

    try:
        made = Cuda()
    except CudaError as error:
        pytest.skip(f"needs an NVIDIA GPU: {error}")
    yield made
    made.close()


def network(cuda: Cuda, width: int, **options: object) -> TrtNetwork:
    made = spinning.spinning_network(cuda, width, Target(runtime="trt", options=options))
    made.weigh()
    return made


def device_ms(made: TrtNetwork, runs: int = 30) -> float:
    times = []
    for _ in range(runs):
        made.run()
        times.append(made.device_ms())
    return statistics.median(times)


@pytest.mark.parametrize("width", [1, 8, 64])
@pytest.mark.parametrize("cuda_graph", [False, True])
def test_a_kernel_of_known_time_takes_that_time(cuda: Cuda, width: int, cuda_graph: bool):
    made = network(cuda, width, cuda_graph=cuda_graph)
    try:
        found = device_ms(made)
        print(f"\nknown {spinning.spin_ms(width):.3f} ms, event {found:.4f} ms, {made.facts}")
        assert found == pytest.approx(spinning.spin_ms(width), rel=0.02, abs=0.012)
        times = made.facts["times_ms"]
        assert times["device"] <= times["host"] <= times["transfers"] * 1.05
    finally:
        made.close()


def test_events_agree_with_torch_on_the_same_kernels(cuda: Cuda):
    torch = pytest.importorskip("torch")
    stream = cuda.stream()
    matrix = torch.randn(4096, 4096, device="cuda", dtype=torch.float16)
    ours, theirs = [], []
    with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)):
        for number in range(60):
            for _ in range(8):
                matrix @ matrix  # so that the GPU never waits for what the host has yet to say
            inner = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            outer = cuda.event(), cuda.event()
            outer[0].record(stream)
            inner[0].record()
            for _ in range(4):
                matrix @ matrix
            inner[1].record()
            outer[1].record(stream)
            stream.synchronize()
            if number >= 10:
                ours.append(outer[0].time_till(outer[1]))
                theirs.append(inner[0].elapsed_time(inner[1]))
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"\nours {statistics.median(ours):.4f} ms, torch's {statistics.median(theirs):.4f} ms")
    assert ratio == pytest.approx(1, abs=0.02)


def test_everything_is_given_back(cuda: Cuda):
    network(cuda, 1, cuda_graph=True).close()
    free = cuda.free_mb
    for _ in range(20):
        network(cuda, 1, cuda_graph=True).close()
    assert cuda.free_mb == pytest.approx(free, abs=1)


def test_output_comes_back_and_transfers_are_timed(cuda: Cuda):
    import numpy as np

    made = network(cuda, 8, latency="transfers")
    try:
        output = made.infer({"x": np.ones((1, 3, 16, 16), np.float32)})["y"]
        assert output[0, 0] == pytest.approx(spinning.spin_ms(8) * 1e6)
    finally:
        made.close()


@pytest.mark.parametrize("latency", ["device", "host"])
def test_a_batch_reads_known_times(cuda: Cuda, latency: str):
    target = Target(runtime="trt", options={"latency": latency})
    with running(MAIN) as board:
        board.place(chain(), plan())
        wanted = [(8, 8, 8), (4, 8, 8), (2, 8, 8), (12, 8, 8)]
        readings = board.measure(job(wanted, target=target, protocol=Protocol()))
    for widths in wanted:
        reading = readings[name(widths)]
        assert isinstance(reading, Reading), reading
        print(f"\n{widths[0] / 8:.3f} ms: {reading.latency_ms:.4f}, ratio {reading.ratio:.4f}")
        print(reading.clock, reading.device_ms, reading.wall_ms, reading.doubts, reading.memory)
        assert reading.clock == ("device" if latency == "device" else "wall")
        assert reading.ratio == pytest.approx(widths[0] / 16, rel=0.02, abs=0.01)
    print(reading.conditions)


def test_who_breaks_the_context_is_the_only_one_to_fail(cuda: Cuda):
    good = [(8, 8, 8), (4, 8, 8)]
    with running(MAIN) as board:
        board.place(chain(), plan())
        wanted = [good[0], (spinning.BREAKS, 8, 8), (spinning.FULL, 8, 8), good[1]]
        protocol = Protocol(rounds=3, max_rounds=3)
        outcomes = board.measure(job(wanted, target=Target(runtime="trt"), protocol=protocol))
    broken = outcomes[name((spinning.BREAKS, 8, 8))]
    assert isinstance(broken, Failure)
    print("\n", broken)
    assert broken.stage == "crash"
    full = outcomes[name((spinning.FULL, 8, 8))]
    assert isinstance(full, Failure)
    assert full.stage == "memory"
    assert all(isinstance(outcomes[name(widths)], Reading) for widths in good)
