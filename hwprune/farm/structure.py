"""The structure of a base network as plain data: what its candidates are made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hwprune.channels.base import BaseNetwork


def structure_of(base: BaseNetwork) -> dict[str, Any]:
    """Inputs, groups, and layers whose channels are functions of the widths of groups.

    With the widths of a candidate these tell every layer's kind, shapes and channels; see
    `hwprune.layer.Layer`.
    """
    return {
        "inputs": [{"name": e.name, "shape": e.shape, "dtype": e.dtype} for e in base.inputs],
        "groups": [{"name": g.name, "width": g.width} for g in base.plan.groups],
        "layers": [asdict(layer) for layer in base.cost_model.layers()],
    }
