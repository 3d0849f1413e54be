"""All weights that go with a channel (Fang et al. 2023, DepGraph, its group norm)."""

from __future__ import annotations

import numpy as np
import torch

from hwprune.saliency.input_axes import input_axes
from hwprune.saliency.output_axes import GroupScores, output_axes
from hwprune.saliency.registry import Subject, criterion
from hwprune_device.plan import Span


@criterion("group_l2", needs_data=False)
def group_l2(subject: Subject) -> list[np.ndarray]:
    """Sum of squares over the weights that write a channel, its scales, and those that read it.

    Layers are added as they are: a layer of large weights counts for more. The paper trains with a
    penalty on this norm before it prunes; nothing trains here.
    """
    sums = GroupScores(subject.plan)
    with torch.no_grad():
        for written in output_axes(subject.module, subject.plan):
            if written.is_weight:
                _add(sums, written.spans, written.rows(written.parameter))
        for read in input_axes(subject.module, subject.plan):
            _add(sums, read.spans, read.columns(read.parameter))
    return sums.scores


def _add(sums: GroupScores, spans: tuple[Span, ...], rows: torch.Tensor) -> None:
    squares = rows.float().square().sum(1).cpu().numpy()
    sums.add(spans, squares, relative=False)
