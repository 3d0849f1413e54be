"""The doctor's look at the board: a real session, and a real reading of a tiny network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwprune.cli.checks.check import Check

if TYPE_CHECKING:
    from hwprune.board import Board

SIZE = 16
CHANNELS = 8


def board(profile: Board | None = None) -> Check:
    """A board, by default this machine: it starts, says hello, runs and times a network."""
    from hwprune.board import this_machine
    from hwprune.channels.base import make_base
    from hwprune.cli.checks.mends import lacking
    from hwprune.errors import BoardError
    from hwprune.farm.session import BoardSession
    from hwprune.pipeline.measure import fit, take

    machine = profile or this_machine()
    runtime = machine.target.runtime
    try:
        base = make_base(tiny_network())
        with BoardSession(fit(machine, base, None, None)) as session:
            hello = session.open()
            reading = take(session, base, "doctor")
    except BoardError as error:
        return Check(
            name="board",
            state="fail",
            found=error.one_line,
            mend=lacking(runtime),
        )
    version = hello.runtimes[runtime].get("version", "")
    found = (
        f"{machine.name}: {runtime} {version} on core {', '.join(map(str, hello.cores))}; "
        f"a tiny network takes {reading.latency_ms * 1000:.0f} µs "
        f"({reading.low_ms * 1000:.0f} – {reading.high_ms * 1000:.0f})"
    )
    if not reading.doubts:
        return Check(name="board", state="ok", found=found)
    return Check(
        name="board",
        state="warn",
        found=f"{found}; it doubts its reading: {'; '.join(reading.doubts)}",
        mend="stop what else runs there, let it cool, or use a quieter machine",
    )


def tiny_network() -> bytes:
    """One convolution and a ReLU, as ONNX."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shape = [1, CHANNELS, SIZE, SIZE]
    weights = np.linspace(-1, 1, CHANNELS * CHANNELS * 9, dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["y"], name="relu"),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights.reshape(CHANNELS, CHANNELS, 3, 3), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()
