"""Sensitive layers are taken out of the search's hands, where the settings ask for it."""

from __future__ import annotations

from pathlib import Path

from hwprune.candidate import SearchSpace
from hwprune.channels.base import BaseNetwork
from hwprune.errors import NetworkError
from hwprune.progress import Progress
from hwprune.saliency.ranking import Ranking
from hwprune.saliency.sensitivity import sense
from hwprune.search_settings import SearchSettings
from hwprune.task.task import Task


def set_apart(
    settings: SearchSettings,
    base: BaseNetwork,
    task: Task,
    space: SearchSpace,
    ranking: Ranking,
    *,
    cache: Path,
    progress: Progress,
) -> tuple[SearchSpace, Ranking]:
    """The search space with one width for each sensitive group, and the ranking to go with it.

    With `sensitive = "rank"` these groups are also ranked by the rank of their maps, as in Yang
    et al. 2023 (see hwprune.saliency.sensitivity); with "protect" they stay whole.

    Raises:
        NetworkError: every group that may be cut is sensitive.
    """
    if settings.sensitive == "off":
        return space, ranking
    found = sense(
        base,
        task,
        low_rank=settings.low_rank,
        threshold=settings.sensitive_threshold,
        cache=cache,
        progress=progress,
    )
    space = SearchSpace(groups=found.fixed(space.groups, settings.sensitive))
    if space.size <= 1:
        raise NetworkError(
            "every layer is sensitive, so nothing is left to search",
            given=f"search.sensitive_threshold = {settings.sensitive_threshold}",
            next_step="raise it; `hwprune inspect --sensitivity` shows each layer's share",
        )
    if settings.sensitive == "rank":
        ranking = ranking.with_scores("hrank", found.sensitive_scores())
    return space, ranking
