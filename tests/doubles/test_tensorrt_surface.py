"""Recorded surfaces of TensorRT: read, compared, and what they say of the releases."""

from __future__ import annotations

import pytest

from tests.doubles.tensorrt_signature import Signature, documented
from tests.doubles.tensorrt_surface import (
    ClassSurface,
    Surface,
    differences,
    from_json,
    read,
    releases,
    to_json,
)


def surface(**members: str) -> Surface:
    classes = {
        "Flag": ClassSurface(members=members),
        "Base": ClassSurface(properties={"name": "str"}),
        "Thing": ClassSurface(
            bases=("Base",),
            methods={"make": (Signature.parse("(flags: int = 0, deep: bool) -> Thing"),)},
            properties={"size": "int (read only)"},
        ),
    }
    return Surface(version="10.3.0", classes=classes, functions={}, constants={"ONE": "Flag.ONE"})


def test_every_release_is_recorded():
    assert releases() == ["10.3", "10.7", "10.13", "11.4"]


@pytest.mark.parametrize("release", releases())
def test_a_recording_reads_back_as_it_was_written(release: str):
    found = read(release)
    assert found.version.startswith(release)
    assert from_json(to_json(found)) == found


def test_an_unknown_release_names_the_recorded_ones():
    with pytest.raises(FileNotFoundError, match=r"10\.13"):
        read("9.9")


def test_what_is_missing_is_said_in_words():
    declared = {
        "": ("ONE", "Thing", "TWO"),
        "Thing": ("name", "size", "make(flags)", "make(depth)", "gone"),
        "Other": ("x",),
    }
    assert surface(ONE="0").missing(declared) == [
        "TensorRT 10.3.0 has no TWO",
        "TensorRT 10.3.0: Thing.make takes no depth: (flags: int = 0, deep: bool) -> Thing",
        "TensorRT 10.3.0 has no Thing.gone",
        "TensorRT 10.3.0 has no class Other",
    ]


def test_differences_are_a_line_a_name():
    found = differences(surface(ONE="0", OLD="1"), surface(ONE="2", NEW="3"))
    assert found == ["+ Flag.NEW 3", "- Flag.OLD 1", "~ Flag.ONE 0  =>  2"]


def test_precision_flags_ended_with_the_tenth_generation():
    gone = {line.split()[1] for line in differences(read("10.13"), read("11.4")) if line[0] == "-"}
    assert {"BuilderFlag.FP16", "BuilderFlag.INT8", "IInt8EntropyCalibrator2"} <= gone


@pytest.mark.parametrize(
    ("docstring", "wanted"),
    [
        (
            "f(self: tensorrt.A, x: int = 0) -> tensorrt_bindings.tensorrt.B\n\ntext",
            ["(x: int = 0) -> B"],
        ),
        ("f(self: A, x: List[Tuple[int, str]]) -> None", ["(x: List[Tuple[int, str]]) -> None"]),
        ("f(self: A, s: S = <S.W: 2>, **kwargs) -> None", ["(s: S = <S.W: 2>, **kwargs) -> None"]),
        (
            "f(*args, **kwargs)\nOverloaded function.\n\n1. f(self: A) -> int\n\n"
            "2. f(self: A, x: B) -> int\n",
            ["() -> int", "(x: B) -> int"],
        ),
        ("just words", []),
    ],
)
def test_signatures_are_read_from_docstrings(docstring: str, wanted: list[str]):
    assert [str(one) for one in documented("f", docstring)] == wanted
