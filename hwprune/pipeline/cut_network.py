"""A candidate's network as it is scored and delivered: the ranking's channels, re-calibrated."""

from __future__ import annotations

from hwprune.candidate import Candidate
from hwprune.pipeline.prepare import Prepared
from hwprune_device.cut import Cutter


def cut_network(prepared: Prepared, candidate: Candidate) -> bytes:
    """The candidate as ONNX, its BatchNorm statistics taken from the task's calibration items."""
    from hwprune.network.recalibration import recalibrate_task

    keep = prepared.ranking.keep(candidate.widths)
    cut = Cutter(prepared.base.onnx, prepared.base.plan).cut(keep)
    return recalibrate_task(cut, prepared.task)
