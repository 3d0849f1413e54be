"""The channel analysis: from an ONNX graph to the cut plan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from hwprune.channels.atoms import Labels
from hwprune.channels.grouping import Grouping
from hwprune.channels.rules import apply_rule
from hwprune.channels.walk import Walk
from hwprune_device.plan import STAYS, AxisCut, ChannelGroup, CutPlan, LiteralCut, Statistic

KEPT_ON_REQUEST = "kept whole: asked for, or no cut of it passed the check"
_ALL_TOGETHER = "its channels can only go all together"
_NO_CHANNELS = "what it writes is joined with what carries no channels"
_NORMALIZATIONS = "Normalization"


def analyse(model: onnx.ModelProto, *, ignore: Sequence[str] = ()) -> CutPlan:
    """Find what can be cut in a canonical ONNX model, and what has to follow.

    An op without a rule freezes the channels it touches, so a cut is never wrong, only smaller.

    Args:
        model: in canonical form.
        ignore: names of groups to leave whole.
    """
    walk = Walk(model)
    for node in model.graph.node:
        apply_rule(walk, node)
    # Who calls the network reads its outputs by number.
    for value in model.graph.output:
        for labels in walk.labels.get(value.name, ()):
            walk.freeze(labels, "network output")
    root = walk.atoms.components()
    reasons = walk.atoms.frozen_roots(root)
    for component in _without_writer(walk, root):
        reasons.setdefault(component, [])
    grouping = Grouping(root, set(reasons), _sites(walk))
    named = _named_groups(walk, grouping)
    kept = {group: name for group, name in named.items() if name not in ignore}
    return _plan(walk, grouping, kept, _frozen(walk, root, reasons, grouping, named, ignore))


def layer_of(node_name: str) -> str:
    """The module a node comes from: `layer1.0.conv1` of `layer1.0.conv1/Conv`."""
    return node_name.rpartition("/")[0].strip("/").replace("/", ".") or node_name


def _sites(walk: Walk) -> list[Labels]:
    literals = [literal.labels for literal in walk.literals]
    return [
        labels for labels in (*walk.weight_axes.values(), *literals, *walk.marks) if len(labels)
    ]


def _without_writer(walk: Walk, root: np.ndarray) -> list[int]:
    """Components that no layer writes: a weight's own axis, a padding that nothing joins."""
    written = np.zeros(len(root), dtype=bool)
    for _, labels in walk.writers:
        written[root[labels]] = True
    lonely: list[int] = np.flatnonzero((root == np.arange(len(root))) & ~written).tolist()
    return lonely


def _named_groups(walk: Walk, grouping: Grouping) -> dict[int, str]:
    """Names of the groups worth cutting, in graph order: the first layer that writes them.

    Where the layer writes several groups, the name says which of its channels: `conv2[0:8]`.
    """
    names: dict[int, str] = {}
    taken: set[str] = set()
    itself = grouping.numbers({group: group for group in range(len(grouping.widths))})
    for node_name, labels in walk.writers:
        start = 0
        spans = grouping.spans(labels, itself)
        whole = len({span.group for span in spans}) == 1
        for span in spans:
            stop = start + span.size
            # A group of one unit leaves nothing to choose.
            if span.group != STAYS and span.group not in names and span.count > 1:
                name = layer_of(node_name) + ("" if whole else f"[{start}:{stop}]")
                while name in taken:
                    name += "'"
                taken.add(name)
                names[span.group] = name
            start = stop
    return names


def _plan(
    walk: Walk, grouping: Grouping, named: dict[int, str], frozen: tuple[tuple[str, str], ...]
) -> CutPlan:
    # From here on groups have the numbers of the plan, in which unnamed ones stay.
    number = grouping.numbers({group: position for position, group in enumerate(named)})
    axes = []
    for (weight, axis), labels in walk.weight_axes.items():
        spans = grouping.spans(labels, number)
        if any(span.group != STAYS for span in spans):
            axes.append(AxisCut(initializer=weight, axis=axis, spans=spans))
    literals = []
    for literal in walk.literals:
        spans = grouping.spans(literal.labels, number)
        if any(span.group != STAYS for span in spans):
            literals.append(
                LiteralCut(
                    spans=spans,
                    initializer=literal.initializer,
                    node=literal.node,
                    attribute=literal.attribute,
                    index=literal.index,
                    divisor=literal.divisor,
                    sign=literal.sign,
                )
            )
    return CutPlan(
        groups=_groups(walk, grouping, named),
        axes=tuple(axes),
        literals=tuple(literals),
        frozen=frozen,
        statistics=_statistics(walk, grouping, number),
    )


def _statistics(walk: Walk, grouping: Grouping, number: np.ndarray) -> tuple[Statistic, ...]:
    found = (
        Statistic(node=node, axis=axis, spans=grouping.spans(labels, number))
        for node, axis, labels in walk.statistics
    )
    return tuple(entry for entry in found if any(s.group != STAYS for s in entry.spans))


def _groups(walk: Walk, grouping: Grouping, named: dict[int, str]) -> tuple[ChannelGroup, ...]:
    layers: dict[str, dict[int, dict[str, None]]] = {"members": {}, "readers": {}}
    units: dict[int, int] = {}
    itself = grouping.numbers({group: group for group in named})
    for _, labels in walk.writers:
        sizes: dict[int, int] = {}
        for span in grouping.spans(labels, itself):
            sizes[span.group] = sizes.get(span.group, 0) + span.size
        for group, size in sizes.items():
            if group != STAYS:
                # The first layer that writes it decides, as it does for the name.
                units.setdefault(group, max(1, size // grouping.widths[group]))
    for kind, entries in (("members", walk.writers), ("readers", walk.readers)):
        for node_name, labels in entries:
            for group in grouping.groups_of(labels):
                layers[kind].setdefault(group, {})[layer_of(node_name)] = None
    return tuple(
        ChannelGroup(
            name=name,
            width=grouping.widths[group],
            members=tuple(layers["members"].get(group, ())),
            readers=tuple(layers["readers"].get(group, ())),
            unit=units[group],
        )
        for group, name in named.items()
    )


def _frozen(
    walk: Walk,
    root: np.ndarray,
    reasons: dict[int, list[str]],
    grouping: Grouping,
    named: dict[int, str],
    ignore: Sequence[str],
) -> tuple[tuple[str, str], ...]:
    """(layer, reason) for every layer that writes channels which stay."""
    found: dict[tuple[str, str], None] = {}
    for node_name, labels in walk.writers:
        # Norms write what a layer before them has written; that layer is the one to name.
        if _NORMALIZATIONS in node_name:
            continue
        for component in np.unique(root[labels]).tolist():
            if component in reasons:
                reason = next(iter(reasons[component]), _NO_CHANNELS)
                found[(layer_of(node_name), reason)] = None
        groups = grouping.groups_of(labels)
        if len(labels) > 1 and groups and named.keys().isdisjoint(groups):
            found[(layer_of(node_name), _ALL_TOGETHER)] = None
    found.update(((layer_of(name), reason), None) for name, reason in walk.left)
    for name in ignore:
        if name in named.values():
            found[(name, KEPT_ON_REQUEST)] = None
    return tuple(found)
