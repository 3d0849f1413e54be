"""Rows of arXiv 2110.08558: "cg", "fg", and the magnitude pruning that it compares with."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from hwprune.board import Board
from hwprune.network.graph_module import to_module
from hwprune.network.recalibration import batches_of, recalibrate
from hwprune.progress import Progress
from hwprune.search.papers.ppo_lagrangian import PpoLagrangian
from hwprune.task.items import calibration_of
from hwprune.task.kinds import classification
from tests.benchmarks.papers.images import Images
from tests.benchmarks.papers.mask_episodes import Effort, MaskEpisodes
from tests.benchmarks.papers.masked import BATCH, MaskedNetwork
from tests.benchmarks.papers.row import Row, cut_of, removed, timed

TUNE_STEPS = 35_000
"""Iterations of the last fine-tuning, as the paper gives VGG-16."""
SEARCH_SHARE = 0.6
"""Of a row's time, where it is limited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a row is made with."""

    images: Images
    board: Board
    readings: int
    effort: Effort
    began_s: float
    until_s: float
    """On `time.monotonic`; infinite where time is no matter."""
    seed: int
    progress: Progress

    @property
    def searched_s(self) -> float:
        """When the search has to be over."""
        return self.began_s + SEARCH_SHARE * (self.until_s - self.began_s)


def mask_row(name: str, method: str, network: MaskedNetwork, work: Work) -> Row:
    """One of `cg 20`, `fg 10`, `magnitude 80`, `magnitude 80 afresh`; the number is a percentage.

    Of the agents' it is what is to be kept, of magnitude what is to go, in every layer alike.
    """
    kind, percent, *rest = method.split()
    episodes, note = 0, ""
    if kind == "magnitude":
        network.reset()
        network.prune_weights(np.full(len(network.convs), int(percent) / 100))
        if rest:
            network.reinitialise()
    else:
        episodes, note = _searched(kind, int(percent), network, work)
    return _tuned(name, method, network, work, episodes=episodes, note=note)


def _searched(kind: str, budget: int, network: MaskedNetwork, work: Work) -> tuple[int, str]:
    """Let the agent learn, then let it prune once, by chance as it does when it learns."""
    episodes = MaskEpisodes(
        network,
        kind,
        budget,
        effort=work.effort,
        until_s=work.searched_s,
        progress=work.progress,
    )
    work.progress.begin(f"{kind} {budget}: search", episodes.wanted)
    agent = PpoLagrangian(episodes, work.seed)
    agent.learn(float(budget))
    rewards, kept = np.array(episodes.last[-20:]).T
    note = f"price {agent.dual.value:.2f}, last 20: reward {rewards.mean():.1f}, "
    note += f"kept {kept.mean():.1f} %"
    work.progress.end(note)
    episodes.prune(episodes.sampled(agent.act))
    network.harden()
    return episodes.played, note


def _tuned(
    name: str, method: str, network: MaskedNetwork, work: Work, *, episodes: int, note: str
) -> Row:
    images, base = work.images, network.base
    before = images.accuracy(network.module, images.test)
    steps = max(1, round(TUNE_STEPS * work.effort.tuning))
    work.progress.begin(f"{method}: fine-tune", steps)
    done = images.fit(
        network.module,
        network.optimizer(),
        steps,
        batch=BATCH,
        until_s=work.until_s,
        on_step=work.progress.advance,
    )
    after = images.accuracy(network.module, images.test)
    work.progress.end(f"test {before:.2%}, after fine-tuning {after:.2%}")
    sparsity, keep = network.sparsity, network.kept_units()
    cut, widths = cut_of(base, network.onnx(), keep), [len(units) for units in keep]
    return Row(
        network=name,
        method=method,
        mask_sparsity=sparsity,
        before=before,
        after=after,
        cut=cut_accuracy(cut, images),
        episodes=episodes,
        tuned_steps=done,
        note=note,
        seconds=time.monotonic() - work.began_s,
        **removed(base, widths),
        **timed(work.board, base, widths, work.readings),
    )


def cut_accuracy(cut: bytes, images: Images) -> float:
    """Test accuracy of a network as ONNX, BatchNorm re-calibrated.

    A masked filter puts out a constant; what reads it then finds the constant in its statistics.
    """
    module = to_module(cut).to(images.execution.device)
    inputs = map(images.execution.inputs, calibration_of(classification(images.data)))
    with images.autocast():
        batches = [tuple(v.float() for v in batch) for batch in batches_of(inputs)]
        recalibrate(module, batches)
    with torch.inference_mode():
        return images.accuracy(module, images.test)
