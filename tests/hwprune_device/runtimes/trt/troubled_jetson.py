"""A scripted Jetson on which networks of certain first widths get into trouble.

Run as a module; takes the supervisor's own arguments, or stands for a board's Python.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import onnx

from hwprune_device.job import Target
from hwprune_device.runtimes.trt.network import TrtNetwork
from tests.doubles.jetson_runtime import ScriptedJetson, scripted_runtime, usual
from tests.doubles.scripted_cuda import ScriptedGpu
from tests.doubles.scripted_jetson import start
from tests.doubles.scripted_tensorrt import Complaint

HANGS, REPORTS, BREAKS, STARVES, UNKNOWN = 15, 14, 13, 12, 11
RUNS_UNTIL_BROKEN = 5
TROUBLES = {
    HANGS: usual(hangs="silent"),
    REPORTS: usual(hangs="reporting"),
    BREAKS: usual(breaks_at_run=RUNS_UNTIL_BROKEN),
    STARVES: usual(most_workspace_bytes=1000),
    UNKNOWN: usual(complaints=(Complaint(node=2, desc="no importer for this one"),)),
}


class TroubledJetson(ScriptedJetson):
    """All networks share a GPU; each trouble has a library of its own."""

    def __init__(self) -> None:
        gpu = ScriptedGpu()
        super().__init__(gpu)
        self._troubled = {
            width: scripted_runtime(script, gpu) for width, script in TROUBLES.items()
        }

    def load(
        self, model: bytes, target: Target, free: Mapping[str, int], alive: Callable[[], None]
    ) -> TrtNetwork:
        troubled = self._troubled.get(first_width(model))
        if troubled is not None:
            return troubled.load(model, target, free, alive)
        return super().load(model, target, free, alive)


def first_width(model: bytes) -> int:
    """Output channels of the first convolution, whatever it is called; 0 where there is none."""
    graph = onnx.load_model_from_string(model).graph
    first = next((node for node in graph.node if node.op_type == "Conv"), None)
    weights = {tensor.name: tensor.dims[0] for tensor in graph.initializer if tensor.dims}
    return 0 if first is None else weights.get(first.input[1], 0)


if __name__ == "__main__":
    place = "tests.hwprune_device.runtimes.trt.troubled_jetson:TroubledJetson"
    sys.exit(start(sys.argv[1:], place))
