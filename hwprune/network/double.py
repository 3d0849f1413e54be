"""A torch twin in float64, in which two ways to compute one thing differ by rounding alone."""

from __future__ import annotations

import torch
from torch import fx

_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def in_double(module: fx.GraphModule) -> fx.GraphModule:
    """The twin with all its floats, and its casts to floats, in float64; changed in place."""
    for node in module.graph.nodes:
        if node.target is torch.Tensor.to and node.args[1] in _FLOATS:
            node.args = (node.args[0], torch.float64)
    module.recompile()
    return module.double()
