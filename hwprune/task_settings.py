"""What a deployment says of its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from hwprune.number import Count, Number, Positive
from hwprune.toml_file import FORBID_UNKNOWN

KINDS = ("classification", "multilabel", "regression", "segmentation", "imitation")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings:
    """What the network is for: a kind, a task of the user's, or functions of theirs by name."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    kind: Literal[
        "", "classification", "multilabel", "regression", "segmentation", "imitation"
    ] = ""
    """Of [data]; empty: seen from its targets. `imitation`: inputs alone."""
    source: str = ""
    """`file.py:function` or `package.module:function` that gives a `hwprune.Task`."""
    score: str = ""
    """A function by name, see `hwprune.Task`. It and the next four take the place of the kind's
    or the task's."""
    inputs: str = ""
    """A function by name, or files: `frames/*.png`, `*.npy`, `*.npz`."""
    train: str = ""
    """A function by name that trains in place, instead of `loss` and `batches`."""
    loss: str = ""
    """A function by name: what training makes small."""
    batches: str = ""
    """A function by name: pairs of inputs and targets for `loss`."""
    metric: str = ""
    """Name of what `score` gives."""
    lower_is_better: bool = False
    """The metric is an error, such as WER."""
    any_number: bool = False
    """The metric is no share of 1."""
    at_least: str | float = ""
    """Floor of the delivered network's score on the test part: a number, or a share of the
    unpruned network's such as "98 %"."""
    calibration: Count = 0
    """Items that re-calibrate BatchNorm; 0: as the data or the task says,
    else 250, fewer where they are large."""
    size: tuple[Positive, ...] = ()
    """Of image files: height and width; empty: the network's."""
    mean: tuple[Number, ...] = ()
    """Of image files, by channel, for values in 0..1, or one for all."""
    std: tuple[Number, ...] = ()
    """As `mean`."""
    layout: Literal["", "NCHW", "NHWC"] = ""
    """Of image files; empty: seen from the network's input."""
