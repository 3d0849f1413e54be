"""What a network's layers take on a board, and what it would save to cut each group alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx

from hwprune.channels.base import BaseNetwork
from hwprune.channels.peak import value_sizes
from hwprune.layer import channels
from hwprune.tables.layer_share import shares_of
from hwprune.tables.model import TableModel
from hwprune.tables.table import Table
from hwprune_device.layers import JOINT, Layers
from hwprune_device.runtimes import Part

Source = Literal["profile", "table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTime:
    """What one layer takes of an undisturbed run."""

    layer: str
    """Several with JOINT between them where one kernel computes them; empty for what belongs to no
    layer."""
    op: str
    """Operators of its kernels; empty where a table is the source."""
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTime:
    """What a channel group takes, and what goes when it alone is cut to half its width."""

    name: str
    half: int
    ms: float
    """Of all layers that carry or read it."""
    saves_ms: float
    outside: str = ""
    """Why a table does not know, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTimes:
    """Parts and whole of a network on a board."""

    whole_ms: float
    """Undisturbed: a reading."""
    told_ms: float
    """What the parts added up to before they were scaled to the whole."""
    layers: tuple[LayerTime, ...]
    layers_from: Source
    groups: tuple[GroupTime, ...]
    saves_from: Source

    def to_json(self) -> dict[str, Any]:
        """Plain data, but for the groups."""
        return {
            "parts_ms": self.told_ms,
            "scale": self.whole_ms / self.told_ms,
            "layers_from": self.layers_from,
            "saves_from": self.saves_from,
            "layers": [
                {"layer": t.layer, "op": t.op, "ms": t.ms, "share": t.ms / self.whole_ms}
                for t in self.layers
            ],
        }


def layer_times(
    base: BaseNetwork, whole_ms: float, parts: Sequence[Part], table: Table | None
) -> LayerTimes | None:
    """Times by layer from a profile, else from a table; None where there is neither.

    Args:
        whole_ms: what the network takes when nothing disturbs it.
        parts: of a profile; none where the board gives none.
        table: of this network on this kind of board.
    """
    model = TableModel(table) if table is not None else None
    told = _of_profile(parts) if parts else _of_table(model) if model is not None else []
    told_ms = sum(time.ms for time in told)
    if not told_ms > 0:
        return None
    # Profiling takes time of its own, and tables err: the whole was read without either.
    scale = whole_ms / told_ms
    layers = tuple(LayerTime(layer=t.layer, op=t.op, ms=t.ms * scale) for t in told)
    halves = halved(base)
    left = _left(base, halves, [time.layer for time in layers])
    return LayerTimes(
        whole_ms=whole_ms,
        told_ms=told_ms,
        layers=layers,
        layers_from="profile" if parts else "table",
        groups=_groups(base, halves, np.array([time.ms for time in layers]), left, model),
        saves_from="profile" if model is None else "table",
    )


def halved(base: BaseNetwork) -> list[tuple[int, ...]]:
    """For each group the widths of the network with that group alone at half its width."""
    full = base.widths
    return [(*full[:g], max(1, width // 2), *full[g + 1 :]) for g, width in enumerate(full)]


def _of_profile(parts: Sequence[Part]) -> list[LayerTime]:
    """Kernels of one layer together; of those that belong to none, those of one operator."""
    ms: dict[tuple[str, str], float] = {}
    ops: dict[tuple[str, str], dict[str, None]] = {}
    for part in parts:
        key = (part.layer, "" if part.layer else part.op)
        ms[key] = ms.get(key, 0.0) + part.ms
        ops.setdefault(key, {})[part.op] = None
    return [LayerTime(layer=key[0], op=", ".join(ops[key]), ms=ms[key]) for key in ms]


def _of_table(model: TableModel) -> list[LayerTime]:
    """What a table believes of each layer, and of all beside them."""
    shares = shares_of(model)
    each = [LayerTime(layer=layer.name, op="", ms=layer.ms) for layer in shares.layers]
    return [*each, LayerTime(layer="", op="", ms=shares.beside_ms)]


def _groups(
    base: BaseNetwork,
    halves: Sequence[tuple[int, ...]],
    ms: np.ndarray,
    left: np.ndarray,
    model: TableModel | None,
) -> tuple[GroupTime, ...]:
    # groups x layers: a layer whose work falls with a group carries or reads it.
    touched = np.where(left < 1, ms, 0.0).sum(axis=1)
    saved = (ms * (1 - left)).sum(axis=1)
    outside = [""] * len(halves)
    if model is not None and halves:
        whole, *found = model.predict(np.array([base.widths, *halves]))
        saved = np.array([whole.latency_ms - one.latency_ms for one in found])
        outside = [one.outside for one in found]
    return tuple(
        GroupTime(
            name=group.name,
            half=halves[number][number],
            ms=float(touched[number]),
            saves_ms=float(saved[number]),
            outside=outside[number],
        )
        for number, group in enumerate(base.plan.groups)
    )


def _left(
    base: BaseNetwork, halves: Sequence[tuple[int, ...]], names: Sequence[str]
) -> np.ndarray:
    """The share of its work that each layer keeps in each candidate; [candidates, layers].

    Work is multiplications where a layer has weights, else the size of what it makes.
    """
    whole, *after = _work(base, [base.widths, *halves])
    parts = [name.split(JOINT) for name in names]
    rows = []
    for work in after:
        rows.append(
            [
                sum(work.get(n, 0) for n in names_) / before
                if (before := sum(whole.get(n, 0) for n in names_))
                else 1.0
                for names_ in parts
            ]
        )
    return np.array(rows, float).reshape(len(halves), len(names))


def _work(base: BaseNetwork, candidates: Sequence[Sequence[int]]) -> list[dict[str, float]]:
    """By candidate the work of each layer."""
    graph = onnx.load_model_from_string(base.onnx).graph
    named = Layers(graph)
    makes = [(named.name(node.output[0]), node.output) for node in graph.node if node.output[0]]
    weighted = base.cost_model.layers()
    sides = [[layer.outputs for layer in weighted], [layer.inputs for layer in weighted]]
    widths = np.array(candidates)
    products = np.prod([channels(side, widths) for side in sides], axis=0)
    found = []
    for row, sizes in enumerate(value_sizes(base.onnx, base.plan, candidates)):
        work: dict[str, float] = {}
        for name, values in makes:
            work[name] = work.get(name, 0) + sum(sizes.get(value, 0) for value in values)
        multiplied: dict[str, float] = {}
        for layer, product in zip(weighted, products[row], strict=True):
            times = layer.positions * layer.kernel * float(product)
            multiplied[layer.name] = multiplied.get(layer.name, 0) + times
        found.append(work | multiplied)
    return found
