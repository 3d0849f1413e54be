"""Torch on a real GPU: what a supervisor reads there against plain torch, and what breaks there.

    python -m pytest -m gpu tests/hwprune_device/runtimes/torchrt/test_runtime_gpu.py -v -s

Nothing here touches CUDA in the process of the tests: it would be another process on the GPU, and
readings would be doubted for it.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from hwprune.channels.base import BaseNetwork, make_base
from hwprune_device.conditions.fingerprint import conditions_key
from hwprune_device.conditions.gpu_presence import has_gpu
from hwprune_device.cut import Cutter
from hwprune_device.job import Protocol, Target
from hwprune_device.reading import Reading
from tests.hwprune_device.board import Board, running
from tests.hwprune_device.chain import chain, job, name
from tests.hwprune_device.chain import plan as chain_plan
from tests.hwprune_device.resnet50 import at_share, resnet50

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not has_gpu(), reason="this machine shows no driver of an NVIDIA GPU"),
]
MAIN = ("-m", "hwprune_device", "--runtime", "torch")
SHARES = (1.0, 0.75, 0.5, 0.25)
ROUNDS = Protocol(rounds=15, max_rounds=15)
BATCH = 32


@pytest.fixture(scope="module")
def base() -> BaseNetwork:
    return make_base(resnet50())


@pytest.fixture(scope="module")
def small() -> BaseNetwork:
    """Of the same kind, with one block a stage: soon compiled."""
    return make_base(resnet50((1, 1, 1, 1)))


@pytest.fixture(scope="module")
def board(base: BaseNetwork):
    with running(MAIN) as there:
        there.place(base.onnx, base.plan)
        yield there


@pytest.fixture(scope="module")
def small_board(small: BaseNetwork):
    with running(MAIN) as there:
        there.place(small.onnx, small.plan)
        yield there


def target(precision: str = "fp16", batch: int = BATCH, **options) -> Target:
    options = {"device": "cuda", "channels_last": True, **options}
    return Target(runtime="torch", precision=precision, batch=batch, options=options)


def readings(
    board: Board,
    base: BaseNetwork,
    wanted: Target,
    shares: Sequence[float] = SHARES,
    protocol: Protocol = ROUNDS,
) -> list[Reading]:
    """Readings of a network at shares of its widths, in the order of the shares."""
    cuts = [at_share(base.widths, share) for share in shares]
    wanted_job = job(cuts, widths=base.widths, target=wanted, protocol=protocol)
    outcomes = board.measure(wanted_job)
    found = [outcomes[name(cut)] for cut in cuts]
    assert all(isinstance(outcome, Reading) for outcome in found), found
    return found


@pytest.mark.parametrize(("mode", "latency"), [("eager", "host"), ("cuda_graph", "device")])
def test_narrower_networks_are_faster_and_lighter(board, base, mode, latency):
    found = readings(board, base, target(mode=mode, latency=latency))
    for share, reading in zip(SHARES, found, strict=True):
        told = (
            f"{reading.latency_ms:.3f} ms, host {reading.wall_ms:.3f}, GPU {reading.device_ms:.3f}"
        )
        print(f"\n{mode} {latency} {share:4.2f}: {told}; {reading.memory}; {reading.doubts}")
    assert {r.clock for r in found} == {"device" if latency == "device" else "wall"}
    assert all(r.device_ms <= r.wall_ms * 1.02 for r in found)
    if mode == "cuda_graph":
        times = [r.latency_ms for r in found]
        assert times == sorted(times, reverse=True)
    assert found[0].ratio == pytest.approx(1.0, abs=0.02)
    for heavy, light in itertools.pairwise(found):
        assert light.memory.weights_mb < heavy.memory.weights_mb
        assert light.memory.activations_mb < heavy.memory.activations_mb


@pytest.mark.parametrize(("precision", "size"), [("fp32", 4), ("fp16", 2)])
def test_weights_are_the_bytes_of_the_folded_network(board, base, precision, size):
    (reading,) = readings(board, base, target(precision, 8), (1.0,), replace(ROUNDS, rounds=3))
    # Convolutions and linear layers with a bias each: BatchNorm's four became one.
    weights = 25_557_032 - 2 * 26_560 + 26_560
    assert reading.memory.weights_mb == pytest.approx(weights * size / 1e6, rel=1e-6)
    assert reading.memory.arena_mb >= reading.memory.peak_mb * 0.99
    assert reading.conditions["outputs_finite"] is True


def test_a_captured_graph_holds_what_eager_mode_holds(board, base):
    few = replace(ROUNDS, rounds=3)
    (eager,) = readings(board, base, target(), (0.5,), few)
    (graph,) = readings(board, base, target(mode="cuda_graph"), (0.5,), few)
    assert graph.memory.weights_mb == eager.memory.weights_mb
    assert graph.memory.activations_mb == pytest.approx(eager.memory.activations_mb, rel=0.1)


PLAIN = """
import json, statistics, sys
import torch
from hwprune_device.torch_graph.folding import fold_batchnorm
from hwprune_device.torch_graph.module import module_of

module = module_of(open(sys.argv[1], "rb").read())
fold_batchnorm(module)
module = module.half().cuda().to(memory_format=torch.channels_last)
images = torch.randn(int(sys.argv[2]), 3, 224, 224, device="cuda", dtype=torch.half)
images = images.contiguous(memory_format=torch.channels_last)
with torch.inference_mode():
    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):
        for _ in range(3):
            module(images)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        module(images)
    call = {"cuda_graph": graph.replay, "eager": lambda: module(images)}[sys.argv[3]]
    times = []
    for _ in range(120):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
print(json.dumps(statistics.median(times[20:])))
"""


@pytest.mark.parametrize("mode", ["cuda_graph", "eager"])
def test_the_gpu_s_time_is_what_plain_events_tell_of_the_same_module(board, base, tmp_path, mode):
    # At full width: a reading alternates with the unpruned network, a plain loop runs one alone.
    # So at half width caches differ (2.6 % on an H200), and an eager loop hangs on its host.
    batch = 64
    wanted = target(batch=batch, mode=mode, latency="device")
    (reading,) = readings(board, base, wanted, (1.0,))
    file = tmp_path / "network.onnx"
    file.write_bytes(Cutter(base.onnx, base.plan).cut_to(base.widths))
    plain_ms = json.loads(in_a_process(PLAIN, str(file), str(batch), mode))
    print(f"\n{mode}: reading {reading.device_ms:.4f} ms, plain {plain_ms:.4f} ms")
    assert reading.clock == "device"
    assert reading.device_ms == pytest.approx(plain_ms, rel=0.02)
    assert reading.latency_ms == pytest.approx(plain_ms, rel=0.02)


def test_fresh_batches_agree(board, base):
    wanted = target(mode="cuda_graph", latency="device")
    ratios = [readings(board, base, wanted, (0.5,))[0].ratio for _ in range(3)]
    print(f"\nratios of three fresh batches: {ratios}")
    assert max(ratios) / min(ratios) < 1.02


def test_compiled_networks_run_and_are_no_slower(small_board, small):
    shares = (1.0, 0.5)
    eager = readings(small_board, small, target(latency="device"), shares)
    compiled = readings(small_board, small, target(mode="inductor", latency="device"), shares)
    for before, after in zip(eager, compiled, strict=True):
        print(
            f"\neager {before.device_ms:.3f} ms, inductor {after.device_ms:.3f} ms "
            f"(built in {after.build_s:.1f} s); {after.memory}"
        )
        assert after.device_ms < 1.3 * before.device_ms
        assert after.memory.weights_mb == before.memory.weights_mb


def test_a_reading_says_how_the_gpu_was(board, base):
    (reading,) = readings(board, base, target(), (0.5,))
    before, after = (reading.conditions[state]["gpu"] for state in ("before", "after"))
    print(f"\n{json.dumps(after)}\n{json.dumps(reading.conditions['gpu_between'])}")
    print(f"{reading.conditions['torch_device']}, {reading.doubts}")
    for state in (before, after):
        assert state["sm_mhz"] > 100 and state["highest_mhz"] >= state["sm_mhz"]
        assert 10 < state["temperature_c"] < 100
        assert state["power_w"] > 10 and state["power_limit_w"] > 50
        assert isinstance(state["reasons"], list)
    assert reading.conditions["gpu_between"]["looks"] >= 1
    assert reading.conditions["gpu_used_mb"] > reading.memory.peak_mb
    gpu = reading.conditions["board"]["gpu"]
    assert gpu["name"] in (reading.conditions["torch_device"], gpu["name"])
    assert gpu["driver"].count(".") >= 1 and gpu["memory_mb"] > 1000
    strange = [d for d in reading.doubts if "GPU" in d]
    assert not strange, strange


def test_gpu_and_driver_are_in_the_key_of_what_runs_there(board):
    hello = board.hello.header
    there = hello["fingerprint"]["gpu"]
    elsewhere = {**hello["fingerprint"], "gpu": {**there, "driver": "1.0"}}
    runtime = hello["runtimes"]["torch"]
    for device, same in (("cuda", False), ("auto", False), ("cpu", True)):
        wanted = {"runtime": "torch", "threads": 1, "options": {"device": device}}
        keys = {conditions_key(b, runtime, wanted) for b in (hello["fingerprint"], elsewhere)}
        assert (len(keys) == 1) is same, device


def test_energy_is_the_gpu_s_board(board, base):
    protocol = replace(ROUNDS, rounds=3, energy_s=1.0)
    full, half = readings(board, base, target(mode="cuda_graph"), (1.0, 0.5), protocol)
    for reading in (full, half):
        assert reading.energy_mj is not None, reading.energy_source
        assert "NVML" in reading.energy_source
        watts = reading.energy_mj / reading.wall_ms
        print(f"\n{reading.energy_mj:.1f} mJ an inference of {BATCH}: {watts:.0f} W")
        assert 30 < watts < 1000
    assert half.energy_mj < full.energy_mj


def test_the_supervisor_has_not_opened_the_gpu(board, base):
    readings(board, base, target(), (0.25,), replace(ROUNDS, rounds=3))
    links = Path(f"/proc/{board.process.pid}/fd").iterdir()
    assert not [link for link in links if "nvidia" in os.readlink(link)]


@pytest.mark.parametrize(
    ("precision", "mode", "error"),
    [
        ("fp32", "eager", 1e-4),
        ("tf32", "eager", 5e-3),
        ("fp16", "eager", 1e-2),
        ("bf16", "eager", 6e-2),
        ("fp32", "inductor", 1e-3),
    ],
)
def test_outputs_are_onnx_runtime_s(board: Board, precision: str, mode: str, error: float):
    images = np.random.default_rng(1).standard_normal((5, 3, 16, 16)).astype(np.float32)
    model, wanted = chain(), target(precision, mode=mode)
    expected = onnxruntime.InferenceSession(model).run(None, {"x": images})[0]
    asked = {"runtime": "torch", "precision": precision, "options": dict(wanted.options)}
    head = {"kind": "run", "target": asked, "model_bytes": len(model)}
    board.send({**head, "shape": list(images.shape), "dtype": "<f4"}, model + images.tobytes())
    answer = board.answer()
    assert answer.kind == "output", answer.header
    output = np.frombuffer(answer.body, answer.header["dtype"]).reshape(expected.shape)
    assert np.abs(output - expected).max() < error * np.abs(expected).max()


def test_auto_is_the_gpu_where_there_is_one(base):
    with running(MAIN) as board:
        board.place(chain(), chain_plan())
        (reading,) = board.measure(job([(8, 16, 16)], target=Target(runtime="torch"))).values()
        assert isinstance(reading, Reading), reading
        assert reading.conditions["torch_device"] != "cpu" and reading.device_ms > 0


CHILD = """
import sys
from hwprune_device.measurement.fork import Watch, run_in_child
from hwprune_device.runtimes import make_runtime

make_runtime("torch").warm()

def full(report, marker):
    import torch
    from hwprune_device.runtimes.torchrt.process import torch_errors
    try:
        with torch_errors("cuda"):
            torch.empty(10**12, dtype=torch.uint8, device="cuda")
    except MemoryError as error:
        report({"kind": "told", "message": str(error)})
    with torch_errors("cuda"):
        torch.zeros(5, device="cuda").sum().item()

def sticks(report, marker):
    import torch
    from hwprune_device.runtimes.torchrt.process import torch_errors
    marker.note(3, "run")
    with torch_errors("cuda"):
        table = torch.zeros(2, device="cuda")
        table[torch.full((64,), 10**6, device="cuda")].sum().item()

watch = Watch(
    timeout_s=60,
    memory_limit_mb=2000.0,
    on_frame=lambda frame: print(frame.header["message"]),
    beat=lambda: None,
    limits_address_space=False,
)
ending = run_in_child({"full": full, "sticks": sticks}[sys.argv[1]], watch)
print(ending.kind, ending.mark.index)
"""
"""A child of a process that has imported torch and not touched CUDA, as a supervisor is."""


def test_a_gpu_that_is_full_is_want_of_memory_and_the_process_goes_on():
    said = in_a_process(CHILD, "full")
    assert "out of memory" in said and said.splitlines()[-1].startswith("done"), said


def test_an_error_of_cuda_that_sticks_ends_the_child_as_a_crash():
    said = in_a_process(CHILD, "sticks")
    assert "assert" in said and said.splitlines()[-1] == "crash 3", said


def in_a_process(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4] / "devices")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
