"""What a board is: its name, whether it is emulated, and what its key hangs on."""

from __future__ import annotations

import os
from dataclasses import asdict

import pytest

from hwprune_device.conditions.fingerprint import conditions_key, emulated, fingerprint, model
from hwprune_device.conditions.surroundings import state
from hwprune_device.job import Target
from hwprune_device.runtimes.onnxrt.options import ONNXRT
from tests.hwprune_device.recorded import CPU, jetson, laptop, raspberry_pi, write

CORES = tuple(sorted(os.sched_getaffinity(0)))[-1:]
RUNTIME = {"name": "onnxrt", "version": "1.32.0"}
TARGET = {"threads": 1}
ARM_INFO = "processor : 0\nFeatures : fp asimd\nCPU implementer : 0x41\n"
X86_INFO = "processor : 0\nvendor_id : AuthenticAMD\nflags : fpu vme\n"


@pytest.mark.parametrize(
    ("tree", "name"),
    [(raspberry_pi, "Raspberry Pi 4 Model B Rev 1.4"), (laptop, "ThinkStation P3")],
)
def test_the_model_is_what_the_maker_wrote(tmp_path, tree, name):
    assert model(tree(tmp_path)) == name
    assert fingerprint((0,), tmp_path)["model"] == name


@pytest.mark.parametrize(
    ("machine", "modalias", "cpuinfo", "expected"),
    [
        ("aarch64", "cpu:type:x86,ven0002fam0019:feature:,0000", ARM_INFO, True),
        ("x86_64", "cpu:type:aarch64:feature:,0000", X86_INFO, True),
        ("riscv64", "cpu:type:x86,ven0002fam0019:feature:,0000", "", True),
        ("aarch64", "cpu:type:aarch64:feature:,0000", ARM_INFO, False),
        ("armv7l", "cpu:type:aarch64:feature:,0000", ARM_INFO, False),
        ("i686", "cpu:type:x86,ven0002fam0019:feature:,0000", X86_INFO, False),
        ("aarch64", None, X86_INFO, True),
        ("aarch64", None, ARM_INFO, False),
        ("x86_64", None, X86_INFO, False),
        ("aarch64", None, "", False),
        ("vax", "cpu:type:x86,ven0002fam0019:feature:,0000", X86_INFO, False),
    ],
)
def test_a_processor_of_another_family_than_the_kernels_is_emulated(
    tmp_path, machine, modalias, cpuinfo, expected
):
    write(tmp_path, {"proc/cpuinfo": cpuinfo})
    if modalias:
        write(tmp_path, {f"{CPU}/modalias": modalias + "\n"})
    assert emulated(tmp_path, machine) is expected


def test_this_test_does_not_run_on_an_emulator():
    assert emulated() is False


def key(board: dict) -> str:
    return conditions_key(board, RUNTIME, TARGET)


def test_another_power_mode_is_another_key(tmp_path):
    maxn = fingerprint((5,), jetson(tmp_path / "a", mode=2))
    low = fingerprint((5,), jetson(tmp_path / "b", mode=0))
    free = fingerprint((5,), jetson(tmp_path / "c", mode=2, locked=False))
    assert len({key(maxn), key(low), key(free)}) == 3


def test_an_emulated_board_never_shares_readings_with_a_real_one(tmp_path):
    board = fingerprint((0,), raspberry_pi(tmp_path))
    assert key({**board, "emulated": True}) != key({**board, "emulated": False})


def test_a_board_that_tells_of_no_power_mode_keeps_the_key_it_had_before_there_were_any(tmp_path):
    # The recorded board is an Arm board whatever the machine that the tests run on is.
    board = {**fingerprint((0,), raspberry_pi(tmp_path)), "emulated": False}
    older = {
        name: board[name] for name in board if name not in ("power_mode", "emulated", "model")
    }
    assert key(board) == key(older)


def test_the_key_changes_with_what_changes_latency_and_with_nothing_else():
    board = fingerprint(CORES)
    key = conditions_key(board, RUNTIME, TARGET)
    assert key == conditions_key({**board, "kernel": "other", "ram_mb": 1}, RUNTIME, TARGET)
    assert key == conditions_key({**board, "cores": [7]}, RUNTIME, TARGET)
    for changed in (
        conditions_key({**board, "governor": ["powersave"]}, RUNTIME, TARGET),
        conditions_key({**board, "pinned_mhz": [1000]}, RUNTIME, TARGET),
        conditions_key({**board, "cpu_flags": "0"}, RUNTIME, TARGET),
        conditions_key(board, {**RUNTIME, "version": "1.33.0"}, TARGET),
        conditions_key(board, RUNTIME, {"threads": 2}),
    ):
        assert changed != key


OTHER_OPTIONS = {
    "optimization": "none",
    "arena": False,
    "memory_pattern": False,
    "denormals": "keep",
    "execution": "parallel",
    "spinning": False,
    "provider": "OpenVINO",
}


def key_of(**options: object) -> str:
    target = Target(threads=2, options=options)
    return conditions_key(fingerprint(CORES), RUNTIME, asdict(target))


def test_every_option_has_readings_of_its_own():
    assert set(OTHER_OPTIONS) == set(ONNXRT.defaults) - {"provider_options", "fallback"}
    keys = [key_of()] + [key_of(**{name: value}) for name, value in OTHER_OPTIONS.items()]
    keys.append(key_of(provider="OpenVINO", provider_options={"num_streams": 2}))
    keys.append(key_of(provider="OpenVINO", fallback="refuse"))
    assert len(set(keys)) == len(keys)


def test_a_default_that_is_spelled_out_shares_the_readings_of_one_left_out():
    assert key_of(**ONNXRT.defaults) == key_of() == key_of(provider="CPUExecutionProvider")
    assert key_of(provider="openvino", provider_options={"a": 1, "b": "2"}) == key_of(
        provider_options={"b": 2, "a": "1"}, provider="OpenVINOExecutionProvider", arena=True
    )


def test_what_a_runtime_could_do_besides_and_readings_with_energy():
    board = fingerprint(CORES)
    key = conditions_key(board, RUNTIME, TARGET)
    assert conditions_key(board, {**RUNTIME, "providers": ["CUDA"]}, TARGET) == key
    assert conditions_key(board, RUNTIME, TARGET, energy=True) != key


def blanks(value: object) -> list[object]:
    if isinstance(value, dict):
        return [b for inner in value.values() for b in blanks(inner)]
    if isinstance(value, list):
        return [b for inner in value for b in blanks(inner)]
    return [value] if value is None or value == "" else []


def test_nothing_about_a_board_is_blank():
    board = {**fingerprint(CORES), **state(CORES)}
    assert blanks(board) == []
    assert board["cpu"]["model name"]
