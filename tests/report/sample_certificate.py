"""Readings and a certificate for the tests: half the latency of a network on a small CPU board."""

from __future__ import annotations

import random

from hwprune.budget import Budget, Constraint
from hwprune.report.certificate import Certificate, certify
from hwprune_device.reading import Memory, Reading

LIMIT_MS = 2.35
TARGET = {"runtime": "onnxrt", "version": "1.32.0", "threads": 1, "precision": "fp32", "batch": 1}
CONDITIONS = {
    "cpu": "ARM Cortex-A76",
    "cores": 4,
    "governor": "performance",
    "load": 0.12,
    "steal_pct": 0.0,
    "temperature_c": 51.5,
}


def make_reading(
    architecture: str,
    latency_ms: float,
    *,
    seed: int = 0,
    cv: float = 0.01,
    doubts: tuple[str, ...] = (),
) -> Reading:
    """A reading whose 20 rounds of 3 runs scatter around `latency_ms` as a quiet board's do."""
    rng = random.Random(seed)
    runs = tuple(
        tuple(latency_ms * (1 + abs(rng.gauss(0, 0.012))) for _ in range(3)) for _ in range(20)
    )
    return Reading(
        reading_id=f"{architecture[:6]}-{seed}",
        architecture=architecture,
        target=TARGET,
        batch_id=f"batch-{seed}",
        taken_at="2026-01-15T10:20:30Z",
        clock="thread_cpu",
        latency_ms=latency_ms,
        low_ms=latency_ms * (1 - 1.96 * cv),
        high_ms=latency_ms * (1 + 1.96 * cv),
        interval_source="this board's own spread over 12 readings",
        ratio=latency_ms / 4.7,
        base_nominal_ms=4.7,
        runs_ms=runs,
        base_ms=tuple(4.7 * (1 + abs(rng.gauss(0, 0.008))) for _ in range(20)),
        wall_ms=latency_ms * 1.02,
        cpu_ms=latency_ms,
        memory=Memory(weights_mb=0.55, activations_mb=0.13, arena_mb=1.1),
        build_s=0.021,
        model_mb=0.58,
        conditions=CONDITIONS,
        doubts=doubts,
    )


def make_certificate(latency_ms: float = 2.26, *, limit_ms: float = LIMIT_MS) -> Certificate:
    """The certificate of five fresh readings around `latency_ms`."""
    budget = Budget(
        constraints=(
            Constraint(quantity="latency_ms", at_most=limit_ms),
            Constraint(quantity="memory_mb", at_most=0.9),
        )
    )
    readings = [
        make_reading("b" * 64, latency_ms * (1 + step / 1000), seed=n)
        for n, step in enumerate((-6, 3, 0, 5, -2))
    ]
    return certify(
        budget,
        readings,
        params=142_000,
        macs=19_400_000,
        architecture="b" * 64,
        board="quiet-board",
        issued_at="2026-01-15T10:31:00Z",
        versions={"hwprune": "0.1.0", "onnxruntime": "1.32.0", "torch": "2.15.0"},
        commands=("hwprune measure runs/small/network/model.onnx --repeat 5",),
    )
