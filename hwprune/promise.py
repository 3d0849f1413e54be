"""Promise: how good a network that was cut is likely to be once it is fine-tuned."""

from __future__ import annotations


def promise(quality: float, unpruned: float, macs_left: float) -> float:
    """What methods compare where fine-tuning follows: 0..1, higher is better.

    Fine-tuning regains much of what a cut loses, and more of it in a network that kept more
    multiply-accumulates; networks of one latency differ in these. The more is lost the less the
    quality right after the cut tells, so the share that is lost is the power of what is left
    (figures in `search/README.md`, by tests/benchmarks/bench_peers.py).

    Args:
        quality: right after the cut.
        unpruned: the unpruned network's quality.
        macs_left: multiply-accumulates, as a share of the unpruned network's.
    """
    lost = max(0.0, 1.0 - quality / unpruned) if unpruned > 0 else 0.0
    return float(quality * macs_left**lost)
