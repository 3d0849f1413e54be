"""The program trtexec as a runtime, played by a scripted one; the rest is a real board."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from hwprune.testing.scripted_trtexec import ScriptedTrtexec, TrtexecScript
from hwprune_device.job import Protocol, Target
from hwprune_device.reading import Failure, Reading
from hwprune_device.runtimes import UnknownRuntimeError, make_runtime
from hwprune_device.runtimes.onnxrt.runtime import OnnxRuntime
from hwprune_device.runtimes.option_error import OptionError
from hwprune_device.runtimes.options import normal_options
from hwprune_device.runtimes.trtexec.program import TrtexecError, times_ms
from tests.hwprune_device.board import Board, running
from tests.hwprune_device.chain import WIDTHS, chain, job, name, plan
from tests.hwprune_device.precision.graphs import types

HALF = (8, 16, 16)
QUICK = Protocol(rounds=2, max_rounds=2, warmup_runs=2, timeout_s=30.0)
BRIEF = {"iterations": 5, "warmup_ms": 1}
MS_PER_MB = TrtexecScript().ms_per_mb


@pytest.fixture
def program(tmp_path, monkeypatch) -> ScriptedTrtexec:
    """trtexec on this process's path, and a cache that is the test's own."""
    made = ScriptedTrtexec(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HWPRUNE_CACHE", str(tmp_path / "cache"))
    return made


@contextmanager
def board_with(program: ScriptedTrtexec) -> Iterator[Board]:
    """A real supervisor that finds the program on its path."""
    with running() as board:
        board.place(chain(), plan())
        yield board


def outcomes(
    board: Board, *candidates: tuple[int, ...], precision: str = "fp32", **options: object
) -> list[Reading | Failure]:
    target = Target(runtime="trtexec", precision=precision, options={**BRIEF, **options})
    found = board.measure(job(candidates, target=target, protocol=QUICK))
    return [found[name(widths)] for widths in candidates]


def scripted_ms(widths: tuple[int, ...]) -> float:
    """What the script says an inference of a chain takes, within the size of its names."""
    return TrtexecScript().fixed_ms + MS_PER_MB * len(chain(widths)) / 1e6


def test_a_reading_is_the_time_on_the_gpu_and_not_that_of_the_process(program):
    with board_with(program) as board:
        assert board.hello.header["runtimes"]["trtexec"]["version"] == "10.3.0"
        small, base = outcomes(board, HALF, WIDTHS)
    assert isinstance(small, Reading) and isinstance(base, Reading), (small, base)
    assert small.clock == "device" and small.target["version"] == "10.3.0"
    for reading, widths in ((small, HALF), (base, WIDTHS)):
        assert reading.latency_ms == pytest.approx(scripted_ms(widths), rel=0.05)
        assert reading.wall_ms > 5 * reading.device_ms
    assert small.ratio == pytest.approx(scripted_ms(HALF) / scripted_ms(WIDTHS), rel=0.05)
    assert small.memory.activations_mb is None and small.memory.peak_mb is None
    assert small.memory.weights_mb > 0
    inferences = small.conditions["inferences_ms"]
    assert inferences["count"] == 5
    assert inferences["p90"] == pytest.approx(inferences["median"])


def test_copies_count_where_they_are_asked_for(program):
    network = load(latency="transfers")
    network.run()
    assert network.device_ms() == pytest.approx(scripted_ms(WIDTHS) + 0.2, rel=0.05)
    assert "--noDataTransfers" not in program.runs[-1]


def load(precision: str = "fp32", **options: object):
    target = Target(runtime="trtexec", precision=precision, options={**BRIEF, **options})
    return make_runtime("trtexec").load(chain(), target, {"N": 1})


@pytest.mark.parametrize(
    "precision, flags",
    [
        ("fp32", {"--noTF32"}),
        ("tf32", set()),
        ("fp16", {"--fp16"}),
        ("bf16", {"--bf16"}),
        ("int8", {"--int8", "--fp16"}),
    ],
)
def test_ten_is_told_its_precision_by_flags(program, precision: str, flags: set[str]):
    load(precision)
    (build,) = program.builds
    assert flags == build.keys() & {"--noTF32", "--fp16", "--bf16", "--int8", "--best"}
    assert "--skipInference" in build and build["--builderOptimizationLevel"] == "3"


def test_eleven_is_told_by_the_graph(program, tmp_path):
    program.play(TrtexecScript(version="11.0.0"))
    for precision, kind in (("fp16", "FLOAT16"), ("bf16", "BFLOAT16")):
        network = load(precision)
        network.run()
        assert not program.builds[-1].keys() & {"--fp16", "--bf16", "--int8", "--noTF32"}
        plan_ = json.loads(Path(program.runs[-1]["--loadEngine"]).read_text())
        graph = onnx.load_model_from_string(bytes.fromhex(plan_["onnx"]))
        found = types(graph)
        conv = next(node for node in graph.graph.node if node.op_type == "Conv")
        assert {found[n] for n in conv.input} == {getattr(onnx.TensorProto, kind)}
        # Copies, graphs and sleeping are the other way round by default there.
        assert program.runs[-1].keys() & {"--noDataTransfers", "--includeDataTransfers"} == set()
        assert "--noCudaGraph" in program.runs[-1] and "--noSpinWait" not in program.runs[-1]
        network.close()
    load("fp32", spin=False, cuda_graph=True, latency="transfers").run()
    assert {"--noSpinWait", "--includeDataTransfers"} <= program.runs[-1].keys()
    assert "--noCudaGraph" not in program.runs[-1] and "--noTF32" in program.builds[-1]


def test_eight_is_served_as_far_as_its_flags_go(program):
    program.play(TrtexecScript(version="8.5.2"))
    runtime = make_runtime("trtexec")
    assert runtime.describe()["version"] == "8.5.2"
    network = load("fp16", warmup_ms=10)
    network.run()
    assert "--buildOnly" in program.builds[-1]
    # It writes its warm-up too, which is five times as slow here.
    assert network.device_ms() == pytest.approx(scripted_ms(WIDTHS), rel=0.05)
    with pytest.raises(ValueError, match=r"--bf16; that of TensorRT 8\.5\.2 has no such flag"):
        load("bf16")
    with pytest.raises(ValueError, match="option builder_level"):
        load(builder_level=5)


def test_options_become_flags(program):
    load("fp16", workspace_mb=512, builder_level=1, dla=1, spin=False, cuda_graph=True).run()
    build, run = program.builds[-1], program.runs[-1]
    assert build["--memPoolSize"] == "workspace:488"  # in MiB
    assert build["--builderOptimizationLevel"] == "1" and build["--useDLACore"] == "1"
    assert "--allowGPUFallback" in build
    assert run["--useDLACore"] == "1" and "--useCudaGraph" in run and "--useSpinWait" not in run
    assert (run["--iterations"], run["--warmUp"], run["--duration"]) == ("5", "1", "0")
    load("fp16", dla=0, fallback="refuse")
    assert "--allowGPUFallback" not in program.builds[-1]


@pytest.mark.parametrize(
    "options",
    [
        {"latency": "host"},
        {"iterations": 0},
        {"iterations": True},
        {"warmup_ms": 0.5},
        {"builds": 3},
        {"workspace_mb": 0},
        {"dla": 0},
        {"optimization": "all"},
    ],
)
def test_what_the_program_cannot_do_is_refused_before_a_board_is_reached(options):
    with pytest.raises(OptionError) as raised:
        normal_options("trtexec", options, threads=1)
    assert raised.value.given and raised.value.possible


def test_a_default_that_is_written_out_is_left_out():
    written = {"latency": "device", "iterations": 50, "spin": True, "workspace_mb": 64}
    assert normal_options("trtexec", written, threads=1) == {"workspace_mb": 64}


def test_a_build_that_fails_tells_the_programs_own_last_errors(program):
    program.play(TrtexecScript(least_bytes=len(chain(HALF)) - 2000))
    tiny = (1, 1, 1)
    with board_with(program) as board:
        failure, good = outcomes(board, tiny, HALF)
    assert isinstance(failure, Failure) and failure.stage == "build"
    assert "Could not find any implementation for node conv0" in failure.message
    assert "Engine could not be created from network" in failure.message
    assert "RUNNING" not in failure.message
    assert isinstance(good, Reading)


@pytest.mark.parametrize(
    "script",
    [
        TrtexecScript(
            least_bytes=10**9,
            build_errors=("Error[1]: [defaultAllocator.cpp] Cuda Runtime (out of memory)",),
        ),
        TrtexecScript(ends_build_with=signal.SIGKILL),
    ],
)
def test_want_of_memory_is_told_from_other_failures(program, script: TrtexecScript):
    program.play(script)
    with pytest.raises(MemoryError, match=r"out of memory|want of memory"):
        load()


def test_a_crash_of_the_program_is_named(program):
    program.play(TrtexecScript(ends_build_with=signal.SIGSEGV))
    with pytest.raises(TrtexecError, match="died of SIGSEGV"):
        load()


def test_a_build_that_takes_too_long_is_ended(program):
    program.play(TrtexecScript(build_s=60))
    heard = []
    target = Target(runtime="trtexec", options={**BRIEF, "build_timeout_s": 1})
    with pytest.raises(TimeoutError, match="within 1 s"):
        make_runtime("trtexec").load(chain(), target, {"N": 1}, lambda: heard.append(1))
    assert heard, "a build that writes is alive"
    assert gone(program.calls[-1]["pid"])


def test_a_run_that_hangs_ends_with_the_board_and_leaves_no_process(program):
    program.play(TrtexecScript(hangs=True))
    with board_with(program) as board:
        target = Target(runtime="trtexec", options={**BRIEF, "build_timeout_s": 1})
        found = board.measure(job([HALF], target=target, protocol=replace(QUICK, timeout_s=1.0)))
    (failure,) = found.values()
    assert isinstance(failure, Failure) and failure.stage == "timeout", failure
    assert gone(program.calls[-1]["pid"])


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds."""
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.05)
    return False


def test_an_engine_is_built_once_and_its_kernels_are_timed_once(program):
    first = load()
    first.weigh()
    assert first.facts["build"]["cached"] is False
    again = load()
    again.weigh()
    assert len(program.builds) == 1 and again.facts["build"]["cached"] is True
    assert again.facts["engine"] == first.facts["engine"]
    # What the builder learnt of kernels goes on to the next engine.
    load("fp16")
    kept = next((Path(os.environ["HWPRUNE_CACHE"]) / "trtexec").glob("timings-10.3.0"))
    assert kept.read_bytes() == b"kernel\n" * 2


def test_an_engine_of_another_device_is_built_again(program):
    load().close()
    program.play(TrtexecScript(device="Xavier"))
    network = load()
    network.run()
    assert len(program.builds) == 2
    load()
    assert len(program.builds) == 2


def test_outputs_are_those_of_the_network(program):
    inputs = np.random.default_rng(1).standard_normal((3, 3, 16, 16)).astype(np.float32)
    (expected,) = OnnxRuntime("keep").run_network(chain(), [inputs], keeping())
    (found,) = make_runtime("trtexec").run_network(chain(), [inputs])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    program.play(TrtexecScript(version="11.0.0"))
    (half,) = make_runtime("trtexec").run_network(
        chain(), [inputs], Target(runtime="trtexec", precision="fp16")
    )
    np.testing.assert_allclose(half, expected, atol=0.02 * np.abs(expected).max())


def test_a_network_of_a_fixed_batch_is_run_as_often_as_needed(program):
    model_ = onnx.load_model_from_string(chain())
    for entry in (*model_.graph.input, *model_.graph.output):
        entry.type.tensor_type.shape.dim[0].dim_value = 2
    inputs = np.random.default_rng(1).standard_normal((3, 3, 16, 16)).astype(np.float32)
    (found,) = make_runtime("trtexec").run_network(model_.SerializeToString(), [inputs])
    (expected,) = OnnxRuntime("keep").run_network(chain(), [inputs], keeping())
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert len(program.runs) == 2


def test_how_an_engine_is_run_asks_for_no_other_build(program):
    load().close()
    load(iterations=7, spin=False, latency="transfers").close()
    assert len(program.builds) == 1


def keeping() -> Target:
    return Target(options={"denormals": "keep"})


def test_a_board_without_the_program_is_told_where_it_was_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnknownRuntimeError, match="on the path, nor in /usr/src/tensorrt/bin"):
        make_runtime("trtexec")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"startComputeMs": 9}]', "[]"])
def test_times_that_cannot_be_read_are_an_error_and_no_number(tmp_path, text: str):
    file = tmp_path / "times.json"
    file.write_text(text)
    with pytest.raises(TrtexecError, match="no time"):
        times_ms(file, latency="device", warmup_ms=0)
