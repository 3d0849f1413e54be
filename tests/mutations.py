"""Cut plans made wrong on purpose, and a check of them that shares nothing with the gate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from hwprune.channels.atoms import Atoms, Labels
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.errors import NetworkError
from hwprune.network.gate import check_cut
from hwprune.network.graph_module import to_module
from hwprune.network.silencing import silenced_module
from hwprune.network.trial import Trial
from hwprune_device.cut import Cutter
from hwprune_device.output_structure import leaves_of
from hwprune_device.plan import STAYS, AxisCut, CutPlan, Span
from hwprune_device.values import is_weight, resize_factors
from tests.traced import random_keep

Mutation = Callable[[BaseNetwork, np.random.Generator], BaseNetwork | None]
"""None where a network has nothing that could be made wrong in this way."""


def _axis_dropped(base: BaseNetwork, rng: np.random.Generator) -> BaseNetwork | None:
    at = rng.integers(len(base.plan.axes))
    return _with(base, axes=(*base.plan.axes[:at], *base.plan.axes[at + 1 :]))


def _range_shifted(base: BaseNetwork, rng: np.random.Generator) -> BaseNetwork | None:
    at = int(rng.integers(len(base.plan.axes)))
    units = [unit for span in base.plan.axes[at].spans for unit in _units(span)]
    by = int(rng.integers(1, len(units))) if len(units) > 1 else 0
    return _respanned(base, at, [*units[by:], *units[:by]])


def _consumer_forgotten(base: BaseNetwork, rng: np.random.Generator) -> BaseNetwork | None:
    """One group is not cut where one layer has it; others on that axis are."""
    at = int(rng.integers(len(base.plan.axes)))
    spans = base.plan.axes[at].spans
    groups = sorted({span.group for span in spans if span.group != STAYS})
    group = groups[rng.integers(len(groups))]
    kept = [Span(group=STAYS, start=0, count=s.size) if s.group == group else s for s in spans]
    return _respanned(base, at, kept)


def _spans_swapped(base: BaseNetwork, rng: np.random.Generator) -> BaseNetwork | None:
    """Two pieces of one axis change places."""
    rows = [at for at, axis in enumerate(base.plan.axes) if len(axis.spans) > 1]
    if not rows:
        return None
    at = int(rng.choice(rows))
    spans = list(base.plan.axes[at].spans)
    first, second = rng.choice(len(spans), 2, replace=False).tolist()
    spans[first], spans[second] = spans[second], spans[first]
    return _respanned(base, at, spans)


def _group_mistaken(base: BaseNetwork, rng: np.random.Generator) -> BaseNetwork | None:
    """One axis is cut as another group of the same width is."""
    widths = base.plan.widths
    twins = {
        g: [k for k, w in enumerate(widths) if w == widths[g] and k != g]
        for g in range(len(widths))
    }
    rows = [
        at
        for at, axis in enumerate(base.plan.axes)
        if any(span.group != STAYS and twins[span.group] for span in axis.spans)
    ]
    if not rows:
        return None
    at = int(rng.choice(rows))
    spans = base.plan.axes[at].spans
    mine = [span.group for span in spans if span.group != STAYS and twins[span.group]]
    group = int(rng.choice(mine))
    other = int(rng.choice(twins[group]))
    return _respanned(
        base, at, [dataclasses.replace(s, group=other) if s.group == group else s for s in spans]
    )


def _literal_not_followed(base: BaseNetwork, rng: np.random.Generator) -> BaseNetwork | None:
    if not base.plan.literals:
        return None
    at = rng.integers(len(base.plan.literals))
    return _with(base, literals=(*base.plan.literals[:at], *base.plan.literals[at + 1 :]))


def _freeze_forgotten(base: BaseNetwork, rng: np.random.Generator) -> BaseNetwork | None:
    return _analysed_without("freeze", base, rng)


def _tie_forgotten(base: BaseNetwork, rng: np.random.Generator) -> BaseNetwork | None:
    return _analysed_without("tie", base, rng)


def _analysed_without(
    what: str, base: BaseNetwork, rng: np.random.Generator
) -> BaseNetwork | None:
    """The plan of an analysis that leaves out one of its steps."""
    with _steps(what, None) as count:
        make_base(base.onnx)
    if not count:
        return None
    with _steps(what, int(rng.integers(len(count)))):
        wrong = make_base(base.onnx)
    return wrong if wrong.plan.groups else None


@contextmanager
def _steps(what: str, skipped: int | None) -> Iterator[list[int]]:
    done: list[int] = []
    step = getattr(Atoms, what)

    def counted(self: Atoms, first: Labels, *rest: object) -> None:
        done.append(len(done))
        if done[-1] != skipped:
            step(self, first, *rest)

    setattr(Atoms, what, counted)
    try:
        yield done
    finally:
        setattr(Atoms, what, step)


MUTATIONS: dict[str, Mutation] = {
    "axis dropped": _axis_dropped,
    "range shifted": _range_shifted,
    "consumer forgotten": _consumer_forgotten,
    "spans swapped": _spans_swapped,
    "group mistaken": _group_mistaken,
    "literal not followed": _literal_not_followed,
    "freeze forgotten": _freeze_forgotten,
    "tie forgotten": _tie_forgotten,
}


def mutants(base: BaseNetwork, kind: str, count: int, seed: int) -> list[BaseNetwork]:
    """Different wrong plans of one kind: as many as there are, up to a count."""
    rng = np.random.default_rng([seed, *kind.encode()])
    found: dict[str, BaseNetwork] = {}
    for _ in range(4 * count):
        wrong = MUTATIONS[kind](base, rng)
        if wrong is None or len(found) == count:
            break
        cuts = repr((wrong.plan.axes, wrong.plan.literals))
        if cuts != repr((base.plan.axes, base.plan.literals)):
            found.setdefault(cuts, wrong)
    return list(found.values())


class _CaughtError(Exception):
    pass


def _caught(*_: object) -> int:
    raise _CaughtError


def is_caught(wrong: BaseNetwork) -> bool:
    """Whether the gate lets not all groups pass; which are at fault is not looked for."""
    with mock.patch.object(Trial, "_first_fault", _caught):
        try:
            return bool(check_cut(wrong))
        except _CaughtError:
            return True


def is_equivalent(base: BaseNetwork, wrong: BaseNetwork, *, times: int = 6) -> bool:
    """Whether cuts by the wrong plan compute what is right, with weights of several sizes.

    Right is what cuts by the right plan compute; where the two plans have other groups, what the
    silenced network does.
    """
    names = [[group.name for group in plan.groups] for plan in (base.plan, wrong.plan)]
    comparable = names[0] == names[1] and base.plan.widths == wrong.plan.widths
    return all(_agree(base.plan if comparable else None, wrong, seed) for seed in range(times))


def _agree(right: CutPlan | None, wrong: BaseNetwork, seed: int) -> bool:
    model = _plain_weights(wrong.onnx, seed)
    keep = random_keep(wrong, seed, least=0.3)
    torch.manual_seed(seed)
    inputs = [
        torch.randn(2, *entry.shape[1:], dtype=torch.double)
        if entry.dtype.startswith("float")
        else torch.randint(0, 2, (2, *entry.shape[1:])).to(getattr(torch, entry.dtype))
        for entry in wrong.inputs
    ]
    try:
        cut = to_module(Cutter(model, wrong.plan).cut(keep))
        other = (
            silenced_module(model, wrong.plan, keep)
            if right is None
            else to_module(Cutter(model, right).cut(keep))
        )
        with torch.no_grad():
            given, expected = (leaves_of(m.double().forward(*inputs)) for m in (cut, other))
    except (RuntimeError, NetworkError, ValueError, IndexError):
        return False
    return all(
        a.shape == b.shape and float((a - b).abs().max()) <= 1e-11 * float(b.abs().max())
        for a, b in zip(given, expected, strict=True)
    )


def _plain_weights(model: bytes, seed: int) -> bytes:
    """Normal numbers by fan-in, louder or quieter by the seed; norms of about one."""
    rng = np.random.default_rng([seed, 77])
    proto = onnx.load_model_from_string(model)
    gain, factors = (1.0, 1.6, 0.7)[seed % 3], resize_factors(proto.graph)
    for tensor in proto.graph.initializer:
        shape = tuple(tensor.dims)
        if not is_weight(tensor) or max(shape, default=1) < 2 or tensor.name in factors:
            continue
        array = rng.standard_normal(shape) * gain / max(1, int(np.prod(shape[1:]))) ** 0.5
        if len(shape) == 1:
            array = rng.uniform(0.4, 1.6, shape)
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float32), tensor.name))
    return bytes(proto.SerializeToString())


def _with(base: BaseNetwork, **changes: object) -> BaseNetwork:
    plan: CutPlan = dataclasses.replace(base.plan, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(base, plan=plan)


def _respanned(base: BaseNetwork, at: int, spans: list[Span]) -> BaseNetwork:
    axis: AxisCut = dataclasses.replace(base.plan.axes[at], spans=tuple(spans))
    return _with(base, axes=(*base.plan.axes[:at], axis, *base.plan.axes[at + 1 :]))


def _units(span: Span) -> list[Span]:
    if span.group == STAYS:
        return [Span(group=STAYS, start=0, count=1)] * span.count
    return [dataclasses.replace(span, start=span.start + k, count=1) for k in range(span.count)]
