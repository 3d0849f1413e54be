"""pnnx, a program that writes ncnn's form of an ONNX file."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from hwprune_device.runtimes.interface import InputSpec, interface_of
from hwprune_device.runtimes.ncnn.graph import Shape, output_shapes
from hwprune_device.runtimes.scratch import scratch

TYPES: Mapping[str, str] = {"float32": "f32", "int64": "i64", "int32": "i32"}
"""Inputs that ncnn takes, and how pnnx is told of them."""
_LEFT = re.compile(r"^ignore (\S+) (\S+) param ", re.MULTILINE)
"""An operator that pnnx left as it was; ncnn may have a layer of that name for all that."""
_COMPLAINT = re.compile(r"^.*(?:not supported|unsupported).*$", re.MULTILINE)
_LAST_PASS = "pass_ncnn"
_AXIS_IN = re.compile(r"ex\.input\(\"in\d+\", .*batch_index=(\d+)\)")
_AXIS_OUT = re.compile(r"out\d+\.numpy\(batch_index=(\d+)\)")
_NO_ROOM = ("bad_alloc", "Cannot allocate memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A network as ncnn loads it: its inputs are called in0, in1, … and its outputs out0, …."""

    param: bytes
    """The layers, as text."""
    weights: bytes
    inputs: tuple[InputSpec, ...]
    """Of the ONNX file, as are the names of the outputs."""
    outputs: tuple[str, ...]
    input_axes: tuple[int, ...]
    """For each input the axis that is its batch, which ncnn's own form lacks; 233: none."""
    output_axes: tuple[int, ...]
    output_shapes: tuple[Shape | None, ...]


def _program() -> Path:
    """Where pnnx lies. Its Python package would import torch, which it does not need."""
    spec = importlib.util.find_spec("pnnx")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).with_name("pnnx")


def convert(model: onnx.ModelProto) -> Converted:
    """A network of fixed sizes in ncnn's form, its weights in float32.

    Raises:
        MemoryError: pnnx ran out of it.
        ValueError: an input of a type that ncnn does not take, or an operator that it lacks.
    """
    interface = interface_of(model)
    for entry in interface.inputs:
        if entry.type not in TYPES:
            raise ValueError(f"ncnn takes inputs of {', '.join(TYPES)}; given: {entry.text}")
    with scratch(model.ByteSize()) as folder:
        place = Path(folder)
        onnx.save(model, place / "model.onnx")
        said = _run(place, interface.inputs)
        # The axis of the batch stands in the Python example that it writes, and nowhere else.
        script = (place / "model.py").read_text()
        return Converted(
            param=_checked(place, said),
            weights=(place / "model.bin").read_bytes(),
            inputs=interface.inputs,
            outputs=interface.outputs,
            input_axes=tuple(map(int, _AXIS_IN.findall(script))),
            output_axes=tuple(map(int, _AXIS_OUT.findall(script))),
            output_shapes=output_shapes(model),
        )


def named(layers: Sequence[tuple[str, str]]) -> str:
    """Return layers, each a kind and a name, as text: those of a kind together."""
    kinds: dict[str, list[str]] = {}
    for kind, name in layers:
        kinds.setdefault(kind, []).append(name)
    return ", ".join(
        f"{kind} ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})"
        for kind, names in kinds.items()
    )


def _run(place: Path, inputs: Sequence[InputSpec]) -> str:
    """What pnnx says while it converts."""
    told = ",".join(f"[{','.join(map(str, e.shape))}]{TYPES[e.type]}" for e in inputs)
    wanted = {
        "inputshape": told,
        # pnnx else halves the weights, whatever precision the target asks for.
        "fp16": "0",
        "ncnnparam": "model.param",
        "ncnnbin": "model.bin",
        "ncnnpy": "model.py",
    }
    # It writes these beside the model unless it is given another place.
    unwanted = dict.fromkeys(("pnnxparam", "pnnxbin", "pnnxpy", "pnnxonnx"), "/dev/null")
    done = subprocess.run(
        [_program(), "model.onnx", *(f"{k}={v}" for k, v in {**wanted, **unwanted}.items())],
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if any(words in done.stdout for words in _NO_ROOM):
        raise MemoryError("pnnx ran out of memory while it made ncnn's form of the network")
    # Exit 0 is no promise: the file has to be there too.
    if done.returncode or not (place / "model.param").is_file():
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
        words = _COMPLAINT.findall(done.stdout) or done.stdout.strip().splitlines()[-1:]
        raise ValueError(f"pnnx cannot convert the network ({how}): {'; '.join(words[:3])}")
    return done.stdout


def _checked(place: Path, said: str) -> bytes:
    """The layers that pnnx wrote, if they are the whole network."""
    # What an earlier pass leaves may still be converted, so only the last one's word counts.
    last = said.partition(_LAST_PASS)[2]
    left = list(dict.fromkeys(_LEFT.findall(last)))
    complaints = dict.fromkeys(_COMPLAINT.findall(last))
    if left or complaints:
        lacks = [f"ncnn has no layer for {named(left)}"] if left else []
        raise ValueError("; ".join([*lacks, *(f"pnnx says: {words}" for words in complaints)]))
    return (place / "model.param").read_bytes()
