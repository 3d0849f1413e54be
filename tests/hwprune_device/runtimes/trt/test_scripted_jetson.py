"""A real supervisor with the real TensorRT runtime, over a scripted TensorRT and GPU."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from hwprune_device.job import Target
from hwprune_device.reading import Failure, Reading
from hwprune_device.runtimes.onnxrt.runtime import OnnxRuntime
from hwprune_device.runtimes.trt.graph import graph_for
from tests.doubles.jetson_runtime import RELEASE
from tests.doubles.scripted_tensorrt.plan import Plan
from tests.doubles.staircase import staircase_ms
from tests.hwprune_device.board import Board, outputs, running
from tests.hwprune_device.chain import QUICK, WIDTHS, chain, job, name, plan
from tests.hwprune_device.runtimes.trt import troubled_jetson as troubled

JETSON = ("-m", "tests.doubles.scripted_jetson")
TROUBLED = ("-m", "tests.hwprune_device.runtimes.trt.troubled_jetson")
CANDIDATES = [(8, 32, 32), (16, 16, 16), (12, 24, 17)]
FINE = (8, 16, 16)


def wanted_ms(widths: tuple[int, ...], precision: str = "fp16") -> float:
    """What the script says that a network takes, as TensorRT 10 is given it."""
    model = graph_for(
        chain(widths), {"N": 1}, precision=precision, calibration="qdq", strongly_typed=False
    )
    return staircase_ms(onnx.load_model_from_string(model))


def target(**options: object) -> Target:
    return Target(runtime="trt", precision="fp16", options=options)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def board(cache: Path) -> Iterator[Board]:
    with running((*JETSON, "--cache", str(cache), "--runtime", "trt")) as board:
        board.place(chain(), plan())
        yield board


@pytest.fixture(scope="module")
def readings(board: Board) -> dict[tuple[int, ...], Reading]:
    found = board.measure(job(CANDIDATES, target=target(latency="device")))
    failed = [outcome for outcome in found.values() if isinstance(outcome, Failure)]
    assert not failed
    return {widths: found[name(widths)] for widths in CANDIDATES}


def test_a_batch_reads_what_the_device_takes(readings):
    for widths, reading in readings.items():
        assert reading.clock == "device"
        assert reading.latency_ms == pytest.approx(wanted_ms(widths), rel=0.02)
        assert reading.device_ms == pytest.approx(wanted_ms(widths), rel=0.02)
        assert reading.ratio == pytest.approx(wanted_ms(widths) / wanted_ms(WIDTHS), rel=0.02)
        assert reading.wall_ms >= reading.device_ms


def test_widths_of_the_same_tiles_take_the_same_time(board: Board):
    found = board.measure(job([(8, 17, 17), (8, 24, 24)], target=target(latency="device")))
    lower, upper = found[name((8, 17, 17))], found[name((8, 24, 24))]
    assert lower.ratio == pytest.approx(upper.ratio, rel=0.01)


def test_a_reading_tells_its_engine_and_how_that_was_built(readings):
    engines = {reading.conditions["engine"] for reading in readings.values()}
    assert len(engines) == len(readings)
    for reading in readings.values():
        build = reading.conditions["build"]
        assert build["cached"] is False and 0 < build["seconds"] <= reading.build_s
        assert build["gpu_peak_mb"] == pytest.approx((64 << 20) / 1e6, rel=0.01)
        assert build["fell_back"] == []


def test_a_reading_tells_every_clock_and_the_memory(readings):
    for reading in readings.values():
        times = reading.conditions["times_ms"]
        assert times["device"] <= times["host"] <= times["transfers"] * 1.05
        memory = reading.conditions["gpu_memory_mb"]
        assert reading.memory.weights_mb == memory["engine"] > 0
        values_mb = (3 * 16 * 16 + 10) * 4 / 1e6
        assert memory["inputs_and_outputs"] == pytest.approx(values_mb)
        assert reading.memory.activations_mb == pytest.approx(memory["activations"] + values_mb)


def test_the_host_waits_longer_than_the_device_works(board: Board):
    (reading,) = board.measure(job([FINE], target=target(latency="host"))).values()
    assert isinstance(reading, Reading) and reading.clock == "wall"
    # Of a machine that others use, calm and restless moments differ by nearly half.
    assert reading.latency_ms == pytest.approx(reading.wall_ms, rel=0.5)
    assert reading.wall_ms > reading.device_ms == pytest.approx(wanted_ms(FINE), rel=0.02)


@pytest.mark.parametrize("release", ["10.3", "11.4"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_each_generation_serves_a_batch(release: str, precision: str, tmp_path: Path):
    main = (*JETSON, "--cache", str(tmp_path), "--runtime", "trt")
    with running(main, settings={RELEASE: release}) as board:
        assert board.hello.header["runtimes"]["trt"]["version"].startswith(release)
        board.place(chain(), plan())
        wanted = job([FINE], target=replace(target(latency="device"), precision=precision))
        (reading,) = board.measure(wanted).values()
    assert isinstance(reading, Reading), reading
    wanted_ratio = wanted_ms(FINE, precision) / wanted_ms(WIDTHS, precision)
    assert reading.ratio == pytest.approx(wanted_ratio, rel=0.02)
    assert reading.target["version"].startswith(release)


def test_engines_are_kept_for_the_next_supervisor(board: Board, cache: Path, readings):
    with running((*JETSON, "--cache", str(cache), "--runtime", "trt")) as second:
        second.place(chain(), plan())
        again = second.measure(job(CANDIDATES, target=target(latency="device")))
    for widths, reading in readings.items():
        build = again[name(widths)].conditions["build"]
        assert build["cached"] is True
        assert build["seconds"] == reading.conditions["build"]["seconds"]
        assert again[name(widths)].conditions["engine"] == reading.conditions["engine"]


IMAGES = np.random.default_rng(1).standard_normal((5, 3, 16, 16)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_engine_is_the_one_whose_outputs_were_given(board: Board, batch: int, precision: str):
    assert "trt" in board.hello.header["engines"]
    wanted = replace(target(), precision=precision, batch=batch)
    (found,) = outputs(board.run(chain((8, 9, 10)), [IMAGES], wanted))
    answer = board.run(chain((8, 9, 10)), [IMAGES], wanted, "engine")
    facts, engine = answer.header["facts"], Plan.from_bytes(answer.body)
    assert facts["build"]["cached"] is True
    assert facts["sha256"] == hashlib.sha256(answer.body).hexdigest()
    padded = np.concatenate([IMAGES, IMAGES[-1:]])
    again = [
        OnnxRuntime().run_network(engine.model, [padded[at : at + batch]])[0]
        for at in range(0, 5, batch)
    ]
    scale = np.abs(found).max()
    np.testing.assert_allclose(found / scale, np.concatenate(again)[:5] / scale, atol=2e-2)


def test_an_engine_tells_what_it_is_good_for(board: Board):
    answer = board.run(chain((8, 9, 10)), [IMAGES], replace(target(), batch=2), "engine")
    facts = answer.header["facts"]
    assert (facts["gpu"], facts["compute_capability"], facts["tensorrt"]) == (
        "Orin",
        "8.7",
        "10.3.0",
    )
    assert (facts["precision"], facts["batch"], facts["dla"]) == ("fp16", 2, None)
    assert facts["inputs"] == [{"name": "x", "shape": [2, 3, 16, 16], "type": "float32"}]
    assert facts["outputs"] == [{"name": "y", "shape": [2, 10], "type": "float32"}]
    model = graph_for(
        chain((8, 9, 10)), {"N": 2}, precision="fp16", calibration="qdq", strongly_typed=False
    )
    wanted = staircase_ms(onnx.load_model_from_string(model))
    assert facts["device_ms"] == pytest.approx(wanted, rel=0.02)


def test_a_network_that_cannot_be_built_has_no_engine_and_says_why(board: Board):
    answer = board.run(b"no network", [IMAGES], target(), "engine")
    assert answer.kind == "error"
    assert answer.header["message"].startswith("engine: ")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Reading | Failure]:
    """What came of one batch with every trouble in it, by first width."""
    cache = tmp_path_factory.mktemp("cache")
    widths = [FINE, *((width, 8, 8) for width in troubled.TROUBLES), (10, 8, 8)]
    with running((*TROUBLED, "--cache", str(cache), "--runtime", "trt")) as board:
        board.place(chain(), plan())
        protocol = replace(QUICK, timeout_s=4.0)
        wanted = target(latency="device", build_timeout_s=2)
        found = board.measure(job(widths, protocol=protocol, target=wanted))
    return {first: found[name((first, *rest))] for first, *rest in widths}


def test_networks_beside_those_in_trouble_are_measured(outcomes):
    fine = {first for first, outcome in outcomes.items() if isinstance(outcome, Reading)}
    assert fine == {FINE[0], 10}
    wanted = wanted_ms(FINE) / wanted_ms(WIDTHS)
    assert outcomes[FINE[0]].ratio == pytest.approx(wanted, rel=0.03)


@pytest.mark.parametrize(
    ("first", "stage", "words"),
    [
        (troubled.UNKNOWN, "build", "no importer for this one"),
        (troubled.STARVES, "memory", "too little memory to build the engine"),
        (troubled.REPORTS, "timeout", "no engine after 1 s"),
    ],
)
def test_an_unpruned_network_in_trouble_tells_it_for_all(
    first: int, stage: str, words: str, tmp_path: Path
):
    base = (first, 8, 8)
    with running((*TROUBLED, "--cache", str(tmp_path), "--runtime", "trt")) as board:
        board.place(chain(base), plan(base))
        wanted = target(build_timeout_s=1)
        found = board.measure(job([(4, 8, 8), (2, 8, 8)], widths=base, target=wanted))
    assert board.done["children"] == 1
    for failure in found.values():
        assert isinstance(failure, Failure) and failure.stage == stage
        assert failure.message.startswith("the unpruned network itself failed: ")
        assert words in failure.message


@pytest.mark.parametrize(
    ("first", "stage", "words"),
    [
        (troubled.HANGS, "timeout", "no end after 6 s during 'build'"),
        (troubled.REPORTS, "timeout", "no engine after 2 s: the build was ended during"),
        (troubled.BREAKS, "crash", "the GPU cannot go on"),
        (troubled.STARVES, "memory", "too little memory to build the engine"),
        (troubled.UNKNOWN, "build", "Conv 'conv1': no importer for this one"),
    ],
)
def test_trouble_is_told_of_the_network_that_has_it(outcomes, first: int, stage: str, words: str):
    failure = outcomes[first]
    assert failure.stage == stage
    assert words in failure.message
