"""The program that a ScriptedTrtexec puts in place of trtexec; run by its path, never imported.

Standard library alone, so that it starts as fast as a process can.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

_BUILDING = (
    "--onnx",
    "--saveEngine",
    "--memPoolSize",
    "--noTF32",
    "--timingCacheFile",
    "--allowGPUFallback",
)
_RUNNING = (
    "--loadEngine",
    "--exportTimes",
    "--exportOutput",
    "--loadInputs",
    "--iterations",
    "--warmUp",
    "--duration",
    "--useDLACore",
    "--useSpinWait",
    "--useCudaGraph",
    "--noDataTransfers",
)
_SINCE_10 = ("--skipInference", "--builderOptimizationLevel")
_PRECISIONS = ("--fp16", "--int8")
_INPUT = re.compile(r"('[^']+'|[^,:]+):([^,]+)")
"""A name, in quotes where it has a colon or a comma in it, and a file."""
_FLAGS = {
    # The flags of 8.5, 10.3 and 11.0 that matter here, from their source and migration guides.
    8: (*_BUILDING, *_RUNNING, *_PRECISIONS, "--buildOnly"),
    10: (*_BUILDING, *_RUNNING, *_PRECISIONS, *_SINCE_10, "--bf16", "--best", "--stronglyTyped"),
    11: (
        *_BUILDING,
        *_RUNNING,
        *_SINCE_10,
        "--noSpinWait",
        "--noCudaGraph",
        "--includeDataTransfers",
    ),
}


def main(folder: Path, arguments: list[str]) -> int:
    """Do what the script in `folder` says; the exit status."""
    script = json.loads((folder / "script.json").read_text())
    digits = _digits(script["version"])
    print(f"&&&& RUNNING TensorRT.trtexec [TensorRT v{digits}] # trtexec {' '.join(arguments)}")
    given = dict(argument.partition("=")[::2] for argument in arguments)
    with (folder / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps({"pid": os.getpid(), "flags": given}) + "\n")
    known = _FLAGS[int(script["version"].split(".")[0])]
    if "--help" in given:
        print("=== Options ===")
        print("".join(f"  {flag:28s}what it is for\n" for flag in known))
        return 0
    unknown = [name for name in given if name not in known]
    if unknown:
        return _fail([f"Unknown option: {unknown[0]}"])
    if "--loadEngine" in given:
        return _run(script, given)
    return _build(script, given)


def _build(script: dict[str, Any], given: dict[str, str]) -> int:
    graph = Path(given["--onnx"]).read_bytes()
    if len(graph) < script["least_bytes"]:
        return _fail(script["build_errors"])
    if script["ends_build_with"]:
        os.kill(os.getpid(), script["ends_build_with"])
    _said("Start parsing network model.")
    sys.stdout.flush()
    time.sleep(script["build_s"])
    engine = {"device": script["device"], "bytes": len(graph), "onnx": graph.hex()}
    Path(given["--saveEngine"]).write_text(json.dumps(engine))
    if "--timingCacheFile" in given:
        with Path(given["--timingCacheFile"]).open("ab") as cache:
            cache.write(b"kernel\n")
    return _pass()


def _run(script: dict[str, Any], given: dict[str, str]) -> int:
    engine = json.loads(Path(given["--loadEngine"]).read_text())
    if engine["device"] != script["device"]:
        return _fail(
            [
                "Error[6]: The engine plan file is generated on an incompatible device",
                "Engine deserialization failed",
            ]
        )
    if script["hangs"]:
        signal.pause()
    compute_ms = script["fixed_ms"] + script["ms_per_mb"] * engine["bytes"] / 1e6
    trace = _trace(script, given, compute_ms)
    if "--exportTimes" in given:
        Path(given["--exportTimes"]).write_text(json.dumps(trace))
    if "--exportOutput" in given:
        _infer(bytes.fromhex(engine["onnx"]), given)
    return _pass()


def _trace(
    script: dict[str, Any], given: dict[str, str], compute_ms: float
) -> list[dict[str, float]]:
    """Times of inferences one behind the other, in the form of the release."""
    old = script["version"].startswith("8.")
    copies = script["copy_ms"] if _transfers(script, given) else 0.0
    one_ms = compute_ms + 2 * copies
    warmup_ms = float(given.get("--warmUp", 200))
    warm = int(warmup_ms / one_ms) + 1
    count = warm + int(given.get("--iterations", 10))
    time.sleep(count * one_ms / 1e3)
    entries = []
    for number in range(count):
        begin = number * one_ms
        if begin < warmup_ms and not old:
            continue
        # The clock of a GPU that has not run before shows it.
        compute = 5 * compute_ms if begin < warmup_ms else compute_ms
        times = {
            "startEnqMs": begin,
            "endEnqMs": begin + 0.01,
            "startH2dMs": begin,
            "endH2dMs": begin + copies,
            "startComputeMs": begin + copies,
            "endComputeMs": begin + copies + compute,
            "startD2hMs": begin + copies + compute,
            "endD2hMs": begin + 2 * copies + compute,
            "h2dMs": copies,
            "computeMs": compute,
            "d2hMs": copies,
            "latencyMs": one_ms,
        }
        entries.append(times | ({"endToEndMs": one_ms} if old else {}))
    return entries


def _transfers(script: dict[str, Any], given: dict[str, str]) -> bool:
    if script["version"].startswith("11."):
        return "--includeDataTransfers" in given
    return "--noDataTransfers" not in given


def _infer(graph: bytes, given: dict[str, str]) -> None:
    """The graph's real outputs, by ONNX's reference evaluator."""
    import numpy as np
    import onnx
    from onnx.reference import ReferenceEvaluator

    model = onnx.load_model_from_string(graph)
    files = {n.strip("'"): f for n, f in _INPUT.findall(given["--loadInputs"])}
    values = {}
    for entry in model.graph.input:
        kind = entry.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        read = np.frombuffer(Path(files[entry.name]).read_bytes(), dtype)
        values[entry.name] = read.reshape([dim.dim_value for dim in kind.shape.dim])
    found = ReferenceEvaluator(model).run(None, values)
    written = [
        {
            "name": output.name,
            "dimensions": "x".join(map(str, np.shape(made))),
            "values": np.ravel(made).tolist(),
        }
        for output, made in zip(model.graph.output, found, strict=True)
    ]
    Path(given["--exportOutput"]).write_text(json.dumps(written))


def _digits(version: str) -> str:
    major, minor, patch = map(int, version.split("."))
    unit = 10_000 if major >= 10 else 1_000
    return str(major * unit + minor * 100 + patch)


def _said(words: str) -> None:
    print(f"[01/02/2026-03:04:05] [I] {words}")


def _pass() -> int:
    print("&&&& PASSED TensorRT.trtexec")
    return 0


def _fail(errors: list[str]) -> int:
    for words in errors:
        print(f"[01/02/2026-03:04:05] [E] {words}")
    print("&&&& FAILED TensorRT.trtexec")
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
