"""Farms as metrics, for Prometheus and whatever else reads its text or OpenMetrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    StateSetMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from hwprune.farm.status import BoardState, BoardStatus, FarmStatus, KindStatus

OF_BOARD = ("farm", "board", "kind")
OF_KIND = ("farm", "kind")


def metrics_text(farms: Sequence[FarmStatus], accept: str) -> tuple[str, str]:
    """All farms as text, and its content type.

    Args:
        farms: what to tell of.
        accept: the reader's Accept header: OpenMetrics where it asks for that, else Prometheus.
    """
    registry = CollectorRegistry()
    registry.register(_Farms(farms))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry).decode(), content_type


class _Farms(Collector):
    """What prometheus_client asks for metrics."""

    def __init__(self, farms: Sequence[FarmStatus]) -> None:
        self._farms = farms

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry of one need not look for two metrics of a name."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every metric, of every farm."""
        yield from _of_farms(self._farms)
        yield from _of_boards([(f.farm, board) for f in self._farms for board in f.boards])
        yield from _of_kinds([(f.farm, kind) for f in self._farms for kind in f.kinds])


def _of_farms(farms: Sequence[FarmStatus]) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "hwprune_farm_up", "1 while the farm's process writes its status.", labels=("farm", "what")
    )
    warnings = GaugeMetricFamily(
        "hwprune_farm_warnings", "Warnings that the farm shows.", labels=("farm",)
    )
    written = GaugeMetricFamily(
        "hwprune_farm_written_timestamp_seconds",
        "When the farm wrote its status last.",
        labels=("farm",),
    )
    for farm in farms:
        up.add_metric((farm.farm, farm.what), float(farm.alive))
        warnings.add_metric((farm.farm,), len(farm.warnings))
        written.add_metric((farm.farm,), farm.written_at)
    yield from (up, warnings, written)


def _of_boards(boards: Sequence[tuple[str, BoardStatus]]) -> Iterator[Metric]:
    state = StateSetMetricFamily(
        "hwprune_board_state", "What the board does: 1 for that state.", labels=OF_BOARD
    )
    readings = CounterMetricFamily("hwprune_board_readings", "Readings taken.", labels=OF_BOARD)
    failures = CounterMetricFamily(
        "hwprune_board_failures", "Measurements that failed.", labels=OF_BOARD
    )
    celsius = GaugeMetricFamily(
        "hwprune_board_temperature_celsius", "The hottest zone, where told.", labels=OF_BOARD
    )
    canary = GaugeMetricFamily(
        "hwprune_board_canary_deviation_ratio",
        "How far the known network that was read last is off what is known of it.",
        labels=OF_BOARD,
    )
    busy = GaugeMetricFamily(
        "hwprune_board_busy_ratio", "Share of the farm's time at work.", labels=OF_BOARD
    )
    for farm, board in boards:
        labels = (farm, board.name, board.kind)
        state.add_metric(labels, {one: one == board.state for one in get_args(BoardState)})
        readings.add_metric(labels, board.readings)
        failures.add_metric(labels, board.failures)
        # What a board does not tell has no sample; it is never 0.
        if board.temperature_c is not None:
            celsius.add_metric(labels, board.temperature_c)
        if board.canary_off_pct is not None:
            canary.add_metric(labels, board.canary_off_pct / 100)
        if board.busy_share is not None:
            busy.add_metric(labels, board.busy_share)
    yield from (state, readings, failures, celsius, canary, busy)


def _of_kinds(kinds: Sequence[tuple[str, KindStatus]]) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "hwprune_kind_waiting_candidates", "Candidates that wait for a board.", labels=OF_KIND
    )
    measured = GaugeMetricFamily(
        "hwprune_kind_measured_candidates", "Candidates that are on a board.", labels=OF_KIND
    )
    asked = CounterMetricFamily(
        "hwprune_kind_asked", "Candidates that were asked for.", labels=OF_KIND
    )
    hits = CounterMetricFamily(
        "hwprune_kind_store_hits", "Candidates that the store answered.", labels=OF_KIND
    )
    poisoned = GaugeMetricFamily(
        "hwprune_kind_poisoned_networks", "Networks that are not sent any more.", labels=OF_KIND
    )
    left = GaugeMetricFamily(
        "hwprune_kind_queue_seconds", "Board time that the queue still needs.", labels=OF_KIND
    )
    for farm, kind in kinds:
        labels = (farm, kind.kind)
        waiting.add_metric(labels, kind.queue)
        measured.add_metric(labels, kind.on_boards)
        asked.add_metric(labels, kind.asked)
        hits.add_metric(labels, kind.cache_hits)
        poisoned.add_metric(labels, kind.poisoned)
        if kind.eta_device_minutes is not None:
            left.add_metric(labels, kind.eta_device_minutes * 60)
    yield from (waiting, measured, asked, hits, poisoned, left)
