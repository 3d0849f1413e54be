"""A task: what a network is for. How well a network does it, what it is fed, how it is taught."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hwprune.metric import Metric

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

    from hwprune.progress import Progress
    from hwprune.recipe import Recipe
    from hwprune.task.score import Score

Part = Literal["train", "calibration", "heldout", "final", "test"]
"""What of the data is meant. `train`: shuffled, augmented. `calibration`: the same items as they
are, in an order that is always the same. `heldout`: scores candidates in the search. `final`:
compares the finalists. `test`: looked at once, at the end."""

PARTS: tuple[Part, ...] = ("train", "calibration", "heldout", "final", "test")
Run = Callable[..., Any]
"""A network that only infers, called as the module is: tensors (N first) in, its outputs out. It
is a torch module or a board, so its outputs are float32 on the CPU and have no gradient."""

OutputKind = Literal["classes", "values"]
"""`classes`: scores of classes on axis 1, before or after a softmax. `values`: anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remake:
    """How another process makes a task again: a callable by name, and what it is called with."""

    factory: str
    """`package.module:function`."""
    arguments: Mapping[str, Any]
    """By name: plain data and numpy arrays."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """What a network is for. Only `inputs` has to be there."""

    inputs: Callable[[Part, int], Iterable[Any]]
    """`inputs(part, count)`: batches of what the network takes, `count` items in all or as many as
    there are: a tensor N …, or a tuple of them for a network of several inputs. Streamed."""
    score: Callable[[Run, Part, float], Score | float | Mapping[str, float]] | None = None
    """`score(run, part, share)`: how well a network does on the first `share` (0..1) of a part.
    A function that takes fewer arguments is called with those it takes. Without it the score is
    how far a network agrees with the unpruned one."""
    metric: Metric = field(default_factory=lambda: Metric(name="score"))
    loss: Callable[[Any, Any], torch.Tensor] | None = None
    """`loss(outputs, targets)`: what training makes small. Without it, and without `train`,
    fine-tuning imitates the unpruned network."""
    batches: Callable[[Part, int], Iterable[tuple[Any, Any]]] | None = None
    """`batches(part, size)`: pairs of inputs and targets for `loss`, about `size` items each; a
    DataLoader is one. Random numbers come from torch's, NumPy's or Python's global generators,
    which are seeded before, so that a training can be repeated."""
    train: Callable[[nn.Module, nn.Module, Recipe, Path, Progress], None] | None = None
    """`train(module, teacher, recipe, folder, progress)`: trains the module in place by whatever
    the user trains with; `folder` is kept for its checkpoints."""
    calibration: int = 0
    """How many items re-calibrate BatchNorm in a cut network; 0: 250, fewer where they are large,
    see `items.calibration_of`."""
    check: Callable[[Any], None] | None = None
    """`check(outputs)` raises a NetworkError where outputs of a batch do not fit the task."""
    output_kinds: tuple[OutputKind, ...] = ()
    """Of each output; empty: read off the graph."""
    bf16: bool = False
    """Whether scores may be computed in bf16, which some processors do twice as fast."""
    classes: int | None = None
    """For a function that makes the network and takes `num_classes`."""
    name: str = "task"
    identity: str = ""
    """Of data and functions: what was worked out for one task is not taken for another's."""
    remake: Callable[[], Remake] | None = field(default=None, repr=False)
    """Without it the task lives in this process alone: scoring and training stay here."""
