"""torch's table of ONNX functions, made once in a process instead of at each export.

It compiles 500 functions, about a third of what the export of a small network takes (28 tests of
tests/network/test_outputs.py and test_norms.py on a busy machine: 59 s, then 40 s), and only tests
export hundreds of networks in one process.
"""

from __future__ import annotations

import functools

import pytest
from torch.onnx._internal.exporter._registration import ONNXRegistry


def keep_registry(patch: pytest.MonkeyPatch) -> None:
    """Have exports of this process share what they only read; each has a table of its own."""
    made = functools.cache(ONNXRegistry.from_torchlib)

    def from_torchlib(**keys: int) -> ONNXRegistry:
        kept, mine = made(**keys), ONNXRegistry()
        mine._opset_version = kept.opset_version
        mine.functions = {target: list(found) for target, found in kept.functions.items()}
        return mine

    patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(from_torchlib))
