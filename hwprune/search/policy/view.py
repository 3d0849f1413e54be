"""The view: what a policy may know of a problem, as plain arrays that travel to its runners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwprune.form import Form
from hwprune.search.problem import SearchProblem


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """Known before anything is measured."""

    choices: tuple[np.ndarray, ...]
    """By group, its allowed widths, ascending."""
    features: np.ndarray
    """[groups, features], each within about [-1, 1]."""
    neighbours: np.ndarray
    """Weights of the groups that share a layer with each, [groups, groups]; rows sum to 1 or 0."""
    start: np.ndarray
    """Where in its choices a group is cut by an action of 0, -1 to 1, [groups]."""
    constraints: int
    seed: int

    @classmethod
    def of(cls, problem: SearchProblem) -> View:
        """Of a problem; actions of 0 are the uniform cut whose estimate is half of the whole."""
        space = problem.space
        cuts = [space.uniform(keep).widths for keep in np.linspace(1, 0, 41)]
        middle = min(cuts, key=lambda widths: abs(problem.estimate(widths) - 0.5))
        places = [
            2 * g.choices.index(w) / max(1, len(g.choices) - 1) - 1
            for g, w in zip(space.groups, middle, strict=True)
        ]
        return cls(
            choices=tuple(np.array(g.choices) for g in space.groups),
            features=np.asarray(problem.features, np.float32),
            neighbours=_neighbours(problem),
            start=np.array(places),
            constraints=len(problem.constraints),
            seed=problem.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Costs:
    """What cuts cost, as shares of the limits, as far as it is known by now."""

    budget: str
    """Name of the budget that candidates are for now."""
    budgets: np.ndarray
    """The limits, as shares of what the unpruned network takes, [constraints]."""
    believed: tuple[tuple[np.ndarray, ...], ...]
    """By constraint and group, what each choice adds, [choices]."""
    forms: tuple[tuple[Form, float] | None, ...]
    """By constraint, where it can be counted: how, and its limit in the same unit."""

    def used(self, widths: np.ndarray, choices: tuple[np.ndarray, ...]) -> np.ndarray:
        """Shares of the limits that widths [groups] use, [constraints]."""
        found = []
        for form, believed in zip(self.forms, self.believed, strict=True):
            if form is not None:
                counted, limit = form
                found.append(float(counted.terms(widths[None])[0, 0]) / limit)
                continue
            places = [int(np.searchsorted(c, w)) for c, w in zip(choices, widths, strict=True)]
            found.append(sum(float(row[i]) for row, i in zip(believed, places, strict=True)))
        return np.array(found)


def _neighbours(problem: SearchProblem) -> np.ndarray:
    """Groups are neighbours where a layer reads one and writes the other."""
    shared = np.zeros((len(problem.space.groups),) * 2)
    for layer in problem.layers:
        for one, _ in layer.inputs.per_unit:
            for other, _ in layer.outputs.per_unit:
                if one != other:
                    shared[one, other] += 1
                    shared[other, one] += 1
    return np.asarray(shared / np.maximum(1, shared.sum(axis=1, keepdims=True)))
