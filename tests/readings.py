"""Readings for tests of what reads them; their numbers are plain so that results can be seen."""

from __future__ import annotations

from typing import Any

from hwprune_device.reading import Memory, Reading


def reading(latency_ms: float = 10.0, **changes: Any) -> Reading:
    """A good reading of 20 rounds whose runs all took `latency_ms`, with an interval of ± 2 %."""
    fields: dict[str, Any] = {
        "reading_id": "r1",
        "architecture": "a" * 64,
        "target": {"runtime": "onnxrt", "threads": 1},
        "batch_id": "b1",
        "taken_at": "2026-01-01T00:00:00Z",
        "clock": "thread_cpu",
        "latency_ms": latency_ms,
        "low_ms": latency_ms * 0.98,
        "high_ms": latency_ms * 1.02,
        "interval_source": "class default",
        "ratio": latency_ms / 20.0,
        "base_nominal_ms": 20.0,
        "runs_ms": tuple((latency_ms,) * 3 for _ in range(20)),
        "base_ms": (20.0,) * 20,
        "wall_ms": latency_ms,
        "cpu_ms": latency_ms,
        "memory": Memory(weights_mb=3.0, activations_mb=1.0),
        "build_s": 0.01,
        "model_mb": 3.1,
    }
    return Reading(**{**fields, **changes})


UNTOLD = Memory(weights_mb=3.0, activations_mb=None)
"""Of a network on a provider that does not tell what it allocates."""
