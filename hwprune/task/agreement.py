"""Agreement with the unpruned network: score and loss of tasks that have none of their own.

Each output is compared by what it holds. Scores of classes: the share of items (and positions) for
which both networks name the same class. Other values: 1 / (1 + relative error), the error being
the root mean square of the difference as a share of the standard deviation of the unpruned
network's values. It never ends: right after a cut errors are often above 1.
The score is that of the worst output.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
import torch
import torch.nn.functional as F

from hwprune.errors import DataError
from hwprune.metric import Metric
from hwprune.task.items import count_of, first_items
from hwprune.task.score import Score
from hwprune.task.task import OutputKind, Part, Run, Task
from hwprune_device.output_structure import leaves_of

ITEMS = 500
"""Compared at most; on so many an agreement of 95 % is known to 1 point."""
KEPT_BYTES = 256 << 20
"""Of the unpruned network's outputs that are kept; the rest are computed again each time."""
LEAST_SPREAD = 1e-4
"""As a share of the values' size: float32 differs by 1e-6 of it from one order of adding up to
another, which on an output that hardly varies is no disagreement."""


def completed(task: Task, teacher: Run, kinds: Sequence[OutputKind], names: Sequence[str]) -> Task:
    """The task, its score filled in by agreement with `teacher` where it has none.

    Args:
        teacher: the unpruned network.
        kinds: of its outputs, and their `names`.
    """
    outputs = task.output_kinds or tuple(kinds)
    if task.score is not None:
        return replace(task, output_kinds=outputs)
    compare = AgreementScore(
        inputs=task.inputs, teacher=teacher, kinds=outputs, names=tuple(names)
    )
    return replace(task, score=compare, metric=Metric(name="agreement"), output_kinds=outputs)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AgreementScore:
    """The score function: how far a network agrees with the unpruned one."""

    inputs: Callable[[Part, int], object]
    teacher: Run
    kinds: tuple[OutputKind, ...]
    names: tuple[str, ...]
    _taught: dict[Part, Taught] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, run: Run, part: Part, share: float = 1.0) -> Score:
        """The agreement on the first share of a part.

        Raises:
            DataError: the part is empty, or not the same each time.
        """
        # Runs that ask at once would each put the whole part through the teacher.
        with self._lock:
            taught = self._taught.get(part)
            if taught is None:
                taught = self._taught[part] = Taught(self, part)
        count = count_of(share, taught.items)
        rows: list[list[torch.Tensor]] = []
        start = 0
        for inputs in first_items(self.inputs(part, count), count):  # type: ignore[arg-type]
            wanted = taught.outputs(start, inputs)
            start += len(inputs[0])
            given = [value.float() for value in leaves_of(run(*inputs))]
            rows.append(
                [
                    _agreement(one, other, kind, spread)
                    for one, other, kind, spread in zip(
                        given, wanted, self.kinds, taught.spreads, strict=True
                    )
                ]
            )
        by_output = [torch.cat(column).numpy() for column in zip(*rows, strict=True)]
        means = [float(column.mean()) for column in by_output]
        worst = int(np.argmin(means))
        words = [
            f"{name}: {'same class' if kind == 'classes' else '1 / (1 + relative error)'}"
            for name, kind in zip(self.names, self.kinds, strict=True)
        ]
        order = np.argsort(means)
        return Score(
            value=means[worst],
            others={words[i]: means[i] for i in order},
            items=by_output[worst].astype(np.float32),
        )


class Taught:
    """What the unpruned network gives for a part: outputs by item, and how far they spread."""

    def __init__(self, agreement: AgreementScore, part: Part) -> None:
        self._teacher = agreement.teacher
        self._part = part
        self._first: tuple[torch.Tensor, ...] = ()
        self.items = 0
        kept: list[list[torch.Tensor]] = []
        # In float64, as a variance is a small difference of large sums.
        room, moments = KEPT_BYTES, [torch.zeros(3, dtype=torch.float64) for _ in agreement.kinds]
        for inputs in first_items(agreement.inputs(part, ITEMS), ITEMS):  # type: ignore[arg-type]
            outputs = self._run(inputs)
            self._first = self._first or tuple(values[:1].clone() for values in inputs)
            for total, values in zip(moments, outputs, strict=True):
                wide = values.double()
                total += torch.stack([torch.tensor(wide.numel()), wide.sum(), wide.square().sum()])
            room -= sum(values.nbytes for values in outputs)
            # Once over for good: what is kept is the part's beginning, without gaps.
            if room > 0:
                kept.append(outputs)
            self.items += len(inputs[0])
        if not self.items:
            raise DataError("there are no inputs to compare networks on", given=f"part '{part}'")
        self._kept = [torch.cat(column) for column in zip(*kept, strict=True)]
        self.spreads = [
            math.sqrt(max(s2 / n - (s1 / n) ** 2, LEAST_SPREAD**2 * s2 / n, 1e-24))
            for n, s1, s2 in (total.tolist() for total in moments)
        ]

    def outputs(self, start: int, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        """Of the items from `start` on, however they are cut into batches.

        Raises:
            DataError: the part begins with another item than it did.
        """
        if start == 0 and not all(
            torch.equal(values[:1], first)
            for values, first in zip(inputs, self._first, strict=True)
        ):
            raise DataError(
                "the inputs are not in the same order each time",
                given=f"part '{self._part}' begins with another item than before",
                next_step="shuffle and augment in part 'train' alone",
            )
        end = start + len(inputs[0])
        if self._kept and end <= len(self._kept[0]):
            return [values[start:end] for values in self._kept]
        return self._run(inputs)

    def _run(self, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        return [value.float() for value in leaves_of(self._teacher(*inputs))]


def _agreement(
    given: torch.Tensor, wanted: torch.Tensor, kind: OutputKind, spread: float
) -> torch.Tensor:
    """By item, 0..1."""
    if kind == "classes":
        same = given.argmax(1) == wanted.argmax(1)
        return same.double().reshape(len(same), -1).mean(1)
    error = (given - wanted).reshape(len(given), -1).double().square().mean(1).sqrt()
    return 1.0 / (1.0 + error / spread)


def imitation_loss(
    outputs: object, taught: object, kinds: Sequence[OutputKind], temperature: float
) -> torch.Tensor:
    """What a network that learns from another makes small, the mean over outputs.

    Scores of classes: T² KL at temperature T (Hinton et al. 2015). Other values: the mean square
    difference as a share of the taught values' variance.
    """
    pairs = zip(leaves_of(outputs), leaves_of(taught), kinds, strict=True)
    losses = [
        _soft(one.float(), other.float(), temperature)
        if kind == "classes"
        else (one.float() - other.float()).square().mean() / _variance(other.float())
        for one, other, kind in pairs
    ]
    return torch.stack(losses).mean()


def _variance(taught: torch.Tensor) -> torch.Tensor:
    """Of a batch; one whose values hardly differ would make the loss as large as one likes."""
    least = 1e-3 * taught.square().mean()
    return taught.var(correction=0).maximum(least).clamp_min(1e-12)


def _soft(outputs: torch.Tensor, taught: torch.Tensor, heat: float) -> torch.Tensor:
    if bool((taught >= 0).all()) and bool(((taught.sum(1) - 1).abs() < 1e-3).all()):
        # The network ends in a softmax: back to scores.
        outputs, taught = (v.clamp_min(1e-7).log() for v in (outputs, taught))
    together = F.kl_div(
        F.log_softmax(outputs / heat, dim=1),
        F.log_softmax(taught / heat, dim=1),
        reduction="none",
        log_target=True,
    )
    # T² keeps the gradient as large as at T = 1.
    return heat**2 * together.sum(1).mean()


def output_kinds(model: bytes) -> tuple[OutputKind, ...]:
    """What each output of a graph holds, as far as the graph shows it.

    Classes are an output behind a softmax over axis 1, or N x K numbers, K > 1, straight out of a
    linear layer; a sigmoid, a convolution or anything else gives values.
    """
    graph = onnx.load_model_from_string(model).graph
    makers = {name: node for node in graph.node for name in node.output}
    return tuple(_kind(value, makers) for value in graph.output)


def _kind(value: onnx.ValueInfoProto, makers: dict[str, onnx.NodeProto]) -> OutputKind:
    rank = len(value.type.tensor_type.shape.dim)
    node = makers.get(value.name)
    while node is not None and node.op_type in ("Identity", "Cast", *(("Add",) * (rank == 2))):
        found = (makers[name] for name in node.input if name in makers)
        # A linear layer may be a MatMul and an Add, whose other input is the bias.
        node = next((one for one in found if one.op_type != "Constant"), None)
    if node is None:
        return "values"
    if node.op_type in ("Softmax", "LogSoftmax"):
        axis = next((a.i for a in node.attribute if a.name == "axis"), -1)
        return "classes" if axis in (1, 1 - rank) else "values"
    last = value.type.tensor_type.shape.dim[-1].dim_value if rank == 2 else 0
    return "classes" if node.op_type in ("Gemm", "MatMul") and last > 1 else "values"
