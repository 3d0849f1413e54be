"""The planner: the widths that a surrogate believes best within the limits.

Costs of groups hang together (a board's fast path may need a residual stream and what is inside
its blocks to fill its vectors), so a sum over groups will not do. From several starts at once,
widths descend on loss + price * cost while the price rises until the limits are kept; what is
reached is then improved by single changes and exchanges.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from hwprune.changes import Changes
from hwprune.search.surrogate import Surrogate, priced

PRICES = np.geomspace(0.2, 20.0, 9)
"""Loss that one whole limit is worth, from where little is cut to where all is."""
OVER = 8.0
"""Loss that one whole limit over the limits counts for once they should be kept."""
IMPROVEMENTS = 20
"""Steps of a plan to a better one, at most."""
PAIRS = 300
"""Exchanges that look best from single changes, and are looked at as they are, in each step."""
SINGLES = 600
"""Single changes of which exchanges are made, at most."""
OPTIONS = 16
"""Widths of a group that are looked at in one step; of more, some near and some far."""
RANDOM_STARTS = 2


class Planner:
    """Plans for one problem; the same surrogate, starts and number give the same plan."""

    def __init__(self, surrogate: Surrogate) -> None:
        self._surrogate = surrogate
        self._groups = surrogate.problem.space.groups
        self._choices = [np.array(g.choices) for g in self._groups]

    def best(self, starts: Sequence[Sequence[int]], *, aim: float, number: int) -> tuple[int, ...]:
        """The plan that is believed best, with cost `aim` or less as shares of the limits.

        Args:
            starts: widths to descend from, beside the widest and random ones.
            number: what chance is seeded with.
        """
        chance = np.random.default_rng([self._surrogate.problem.seed, 7, number])
        reached = self._descend(self._starts(starts, chance), aim)
        # An improvement looks at hundreds of exchanges a step, so only the best descents get one.
        promising = reached[np.argsort(self._value(reached, aim), kind="stable")[:2]]
        plans = [self._improve(np.array(w), aim, chance) for w in (*promising, *starts)]
        values = self._value(np.array(plans), aim)
        return tuple(int(w) for w in plans[int(np.argmin(values))])

    def _starts(self, given: Sequence[Sequence[int]], chance: np.random.Generator) -> np.ndarray:
        # Not the unpruned network, which is no candidate where a group is fixed at less.
        widest = [g.choices[-1] for g in self._groups]
        drawn = [[chance.choice(c) for c in self._choices] for _ in range(RANDOM_STARTS)]
        return np.unique(np.array([widest, *given, *drawn]), axis=0)

    def _value(self, widths: np.ndarray, aim: float) -> np.ndarray:
        """Believed loss of widths [n, groups], with what is over the aim; [n]."""
        return priced(
            self._surrogate.loss(widths), self._surrogate.used(widths), aim=aim, price=OVER
        )

    def _descend(self, widths: np.ndarray, aim: float) -> np.ndarray:
        """From each start [starts, groups], the best widths met on the way as prices rise."""
        best, value = widths.copy(), self._value(widths, aim)
        for price in PRICES:
            widths = self._sweep(widths, price)
            now = self._value(widths, aim)
            better = now < value
            best[better], value = widths[better], np.minimum(now, value)
            # Higher prices would only cut deeper.
            if (self._surrogate.used(widths).max(axis=1) <= aim).all():
                break
        return best

    def _sweep(self, widths: np.ndarray, price: float) -> np.ndarray:
        """Every group in turn to its best width at this price, for all starts side by side."""
        widths = widths.copy()
        for g, choices in enumerate(self._choices):
            if len(choices) == 1:
                continue
            options = self._options(g, widths[:, g])
            changes = Changes(
                row=np.repeat(np.arange(len(widths)), options.shape[1]),
                group=np.full(options.size, g),
                width=options.reshape(-1),
            )
            loss, used = self._surrogate.changed(widths, changes)
            best = (loss + price * used.max(axis=1)).reshape(options.shape).argmin(axis=1)
            widths[:, g] = options[np.arange(len(widths)), best]
        return widths

    def _options(self, group: int, now: np.ndarray) -> np.ndarray:
        """Widths to try for a group that is now at [n]; [n, options]."""
        choices = self._choices[group]
        if len(choices) <= OPTIONS:
            return np.repeat(choices[None], len(now), axis=0)
        place = np.searchsorted(choices, now)[:, None]
        # Neighbours to settle between, and a grid over all widths to get away.
        near = np.clip(place + np.arange(-2, 3), 0, len(choices) - 1)
        spread = np.linspace(0, len(choices) - 1, OPTIONS - 5).astype(int)
        return choices[np.concatenate([near, np.repeat(spread[None], len(now), axis=0)], axis=1)]

    def _improve(self, widths: np.ndarray, aim: float, chance: np.random.Generator) -> np.ndarray:
        """Better and better widths, a change or an exchange at a time."""
        value = float(self._value(widths[None], aim)[0])
        for _ in range(IMPROVEMENTS):
            singles = self._singles(widths)
            # No group has a choice.
            if not len(singles.row):
                break
            loss, used = self._surrogate.changed(widths[None], singles)
            values = priced(loss, used, aim=aim, price=OVER)
            rows = self._exchanges(widths, singles, loss, used, aim, chance)
            of_rows = self._value(rows, aim)
            one, two = int(values.argmin()), int(of_rows.argmin())
            if min(values[one], of_rows[two]) >= value - 1e-9:
                break
            if values[one] <= of_rows[two]:
                widths, value = widths.copy(), float(values[one])
                widths[singles.group[one]] = singles.width[one]
            else:
                widths, value = rows[two], float(of_rows[two])
        return widths

    def _singles(self, widths: np.ndarray) -> Changes:
        """Every change of one group of widths [groups]."""
        options = [self._options(g, widths[g : g + 1])[0] for g in range(len(self._choices))]
        return Changes.of_each([o[o != w] for o, w in zip(options, widths, strict=True)])

    def _exchanges(
        self,
        widths: np.ndarray,
        singles: Changes,
        loss: np.ndarray,
        used: np.ndarray,
        aim: float,
        chance: np.random.Generator,
    ) -> np.ndarray:
        """Rows after the pairs of single changes that seem best if both are what each is alone.

        [pairs, groups]; the widths themselves where there are no two changes to pair.
        """
        some = np.arange(len(loss))
        if len(some) > SINGLES:
            some = chance.choice(len(some), SINGLES, replace=False)
        if len(some) < 2:
            return widths[None]
        group, width = singles.group[some], singles.width[some]
        first, second = _pairs(len(some))
        # [pairs] and [pairs, constraints], as if changes did not meet in a layer.
        more = loss[some] - self._surrogate.loss(widths[None])
        over = used[some][first] + used[some][second] - self._surrogate.used(widths[None])
        value = priced(more[first] + more[second], over, aim=aim, price=OVER)
        # Never two changes of one group.
        value[group[first] == group[second]] = np.inf
        count = min(PAIRS, value.size)
        best = np.argpartition(value, count - 1)[:count]
        first, second = first[best], second[best]
        rows = np.repeat(widths[None], count, axis=0)
        rows[np.arange(count), group[first]] = width[first]
        rows[np.arange(count), group[second]] = width[second]
        return rows


@functools.lru_cache(maxsize=8)
def _pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Both places of every pair of so many, each pair once."""
    first, second = np.triu_indices(count, 1)
    return first, second
