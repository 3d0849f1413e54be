"""The settings of a search, as a deployment gives them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from hwprune.number import Amount, Count, Positive, Seed, Share
from hwprune.toml_file import FORBID_UNKNOWN
from hwprune.width_limit import WidthLimit

BASELINES = ("sensitivity", "random", "uniform")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How the search goes."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    evaluations: Count = 0
    """Candidates each method may score and measure; 0: chosen from the groups and from what a
    candidate takes, and a method that learns ends when more do not pay."""
    minutes: Amount = 0.0
    """After which no method begins another candidate; 0: as long as it takes."""
    methods: tuple[str, ...] = ("model", "uniform")
    """Who searches, one after the other: model, policy, policy+model, sensitivity, random,
    uniform; cg of arXiv 2110.08558; sensitive+ddpg of doi 10.1007/s10462-023-10566-5, which wants
    `sensitive` as well."""
    compare: bool = False
    """Let the baselines search as well, each with as many evaluations."""
    algorithm: str = "ppo-lagrange"
    """That the policy learns by: ppo-lagrange, sac-lagrange, or `package.module:function` that
    gives an AlgorithmConfig of RLlib."""
    runners: Count = 0
    """Ray actors that play the policy's episodes, on any node of the cluster; 0: this process."""
    learners: Count = 0
    """Ray actors that the policy learns in; 0: this process."""
    cost: Literal["measured", "hybrid"] = "measured"
    """Whether every candidate is measured, or only those that a latency table does not know to be
    over the budget. What is delivered is always measured."""
    tables: tuple[str, ...] | None = None
    """Latency tables to start from; left out: those that `hwprune table build` made and that fit;
    `[]`: none."""
    begin_from: tuple[str, ...] = ()
    """Run folders of the same network, data and saliency, on other boards or for other budgets:
    the model learns from their scores, and nothing in them is scored again."""
    offer: Literal["all", "paying"] = "all"
    """Every width, or with a latency table only those that no wider one makes needless on a board
    with all other groups whole. Two searches of the digits' network lost 0.3 and 2.3 points by the
    latter (bench_hybrid, n = 2)."""
    saliency: str = "l1"
    """Which channels of a group go first; `hwprune/saliency/README.md` has all criteria."""
    sensitive: Literal["off", "rank", "protect"] = "off"
    """Layers with many low-rank feature maps: left to the search, their width set by the share of
    high-rank maps, or left whole."""
    sensitive_threshold: Share = 0.25
    """A layer is sensitive if more than this share of its feature maps are of low rank."""
    low_rank: Share = 0.5
    """A feature map is of low rank if its mean rank is below this share of min(H, W)."""
    multiple_of: Positive = 4
    """Widths offered are multiples of this: most CPUs and GPUs gain nothing in between."""
    min_keep: Share = 0.125
    """Smallest share of a group that may stay."""
    branches: bool = False
    """Whether branches of residual sums may go as a whole, at a width of 0; not those of groups
    that `limits` name."""
    ignore: tuple[str, ...] = ()
    """Layers, by name pattern, whose channels are never cut."""
    limits: dict[str, WidthLimit] = field(default_factory=dict)
    """By name pattern, what differs there: min_width, min_keep, multiple_of."""
    finalists: Positive = 5
    """The best so many of each method are scored again on more items, measured afresh and tuned
    for a few steps; of the uniform cuts the best one."""
    seed: Seed = 0
    """Of random numbers; a search with the same seed and readings proposes the same networks."""
    scorers: Count = 0
    """Processes that score candidates; 0: one for each core the board does not use."""

    @property
    def searched(self) -> tuple[str, ...]:
        """The methods that search, in order."""
        return tuple(dict.fromkeys((*self.methods, *(BASELINES if self.compare else ()))))
