"""What the papers' agents observe of a channel group: the layer that writes it first."""

from __future__ import annotations

import numpy as np

from hwprune.search.problem import SearchProblem


def group_states(problem: SearchProblem) -> np.ndarray:
    """By group its place, channels out and in, positions and kernel size, [groups, 5].

    The papers also have strides and paddings, which a search does not see; positions, the places
    where the kernel is applied, stand for them and for the height and width of the maps.
    """
    groups = problem.space.groups
    full = np.array([group.width for group in groups])
    found = np.zeros((len(groups), 5))
    found[:, 0], found[:, 1] = np.arange(len(groups)), full
    known: set[int] = set()
    for layer in problem.layers:
        inputs = layer.inputs.fixed + sum(full[g] * each for g, each in layer.inputs.per_unit)
        for group, _ in layer.outputs.per_unit:
            if group not in known:
                known.add(group)
                found[group, 2:] = inputs, layer.positions, layer.kernel
    return found
