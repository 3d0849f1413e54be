"""ResNet-50 at several widths on a GPU, by torch: latency, memory, and how far batches agree.

    python -m tests.benchmarks.bench_gpu [--repeats 5] [--batch 32] [--inductor] [--json FILE]

A batch is a child of its own: CUDA is started anew, networks are built anew. Of each mode and
number type all widths are read together, `--repeats` times; the spread is the coefficient of
variation of the ratio to the unpruned network and of the milliseconds themselves. Needs no Ray and
no exporter.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from hwprune.channels.base import BaseNetwork, make_base
from hwprune_device.job import Protocol, Target
from hwprune_device.reading import Failure, Reading
from tests.hwprune_device.board import Board, running
from tests.hwprune_device.chain import job, name
from tests.hwprune_device.resnet50 import at_share, resnet50

SHARES = (1.0, 0.75, 0.5, 0.25)
PROTOCOL = Protocol(rounds=20, max_rounds=20, timeout_s=120.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How networks run."""

    mode: str
    precision: str
    shares: Sequence[float] = SHARES

    def target(self, batch: int, device: str) -> Target:
        options = {"mode": self.mode, "device": device, "channels_last": True}
        if device == "cuda":
            options["latency"] = "device"
        return Target(runtime="torch", precision=self.precision, batch=batch, options=options)


SETTINGS = (
    Setting(mode="eager", precision="fp32"),
    Setting(mode="eager", precision="fp16"),
    Setting(mode="cuda_graph", precision="tf32"),
    Setting(mode="cuda_graph", precision="fp16"),
)
INDUCTOR = Setting(mode="inductor", precision="fp16", shares=(1.0, 0.5))
"""Few widths: each is compiled, and only the first time takes long."""
ON_CPU = (Setting(mode="eager", precision="fp32"),)


def read(
    board: Board, base: BaseNetwork, setting: Setting, given: argparse.Namespace
) -> list[Reading | Failure]:
    """One batch in a fresh child, in the order of the shares."""
    cuts = [at_share(base.widths, share) for share in setting.shares]
    target = setting.target(given.batch, given.device)
    outcomes = board.measure(job(cuts, widths=base.widths, target=target, protocol=PROTOCOL))
    return [outcomes[name(cut)] for cut in cuts]


def spread_pct(values: Sequence[float]) -> float:
    """Coefficient of variation in per cent; 0 of one value."""
    return 100 * stdev(values) / mean(values) if len(values) > 1 else 0.0


def row(setting: Setting, share: float, found: Sequence[Reading]) -> dict[str, Any]:
    """What several readings of one network say together."""
    told = [r.device_ms for r in found if r.device_ms is not None]
    memory = found[-1].memory
    return {
        "mode": setting.mode,
        "precision": setting.precision,
        "share": share,
        "host_ms": median(r.wall_ms for r in found),
        "gpu_ms": median(told) if told else None,
        "ratio": median(r.ratio for r in found),
        "ratio_spread_pct": spread_pct([r.ratio for r in found]),
        "latency_spread_pct": spread_pct([r.latency_ms for r in found]),
        "weights_mb": memory.weights_mb,
        "activations_mb": memory.activations_mb,
        "arena_mb": memory.arena_mb,
        "build_s": [round(r.build_s, 2) for r in found],
        "readings": len(found),
        "doubts": sorted({doubt for r in found for doubt in r.doubts}),
    }


def line(told: Mapping[str, Any]) -> str:
    """A row of the table."""
    gpu = "-" if told["gpu_ms"] is None else f"{told['gpu_ms']:.3f}"
    arena = "-" if told["arena_mb"] is None else f"{told['arena_mb']:.0f}"
    cells = (
        f"{told['mode']:10} {told['precision']}",
        f"{told['share']:.2f}",
        f"{told['host_ms']:.3f}",
        gpu,
        f"{told['ratio']:.3f}",
        f"{told['ratio_spread_pct']:.2f} %",
        f"{told['latency_spread_pct']:.2f} %",
        f"{told['weights_mb']:.1f}",
        f"{told['activations_mb']:.1f}",
        arena,
        f"{max(told['build_s']):.1f}",
        str(len(told["doubts"])),
    )
    return "| " + " | ".join(cells) + " |"


def show_board(board: Board, seconds: float) -> None:
    """What the board is, and how soon it was ready."""
    hello = board.hello.header
    print(
        f"board ready in {seconds:.1f} s: torch {hello['runtimes']['torch']['version']}, ", end=""
    )
    print(json.dumps(hello["fingerprint"].get("gpu", "no GPU")))


def main() -> None:
    """Print the table, a row as soon as it is known, and what was doubted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--inductor", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    base = make_base(resnet50())
    settings = [*SETTINGS, *([INDUCTOR] if given.inductor else [])]
    settings = settings if given.device == "cuda" else list(ON_CPU)
    rows = []
    start = time.monotonic()
    with running(("-m", "hwprune_device", "--runtime", "torch")) as board:
        show_board(board, time.monotonic() - start)
        board.place(base.onnx, base.plan)
        print(
            "| mode, type | width | host ms | GPU ms | ratio | spread of ratio | of ms | "
            "weights MB | activations MB | reserved MB | build s | doubts |"
        )
        print("|" + "---|" * 12, flush=True)
        for setting in settings:
            began = time.monotonic()
            repeats = min(given.repeats, 2) if setting is INDUCTOR else given.repeats
            batches = [read(board, base, setting, given) for _ in range(repeats)]
            for share, outcomes in zip(setting.shares, zip(*batches, strict=True), strict=True):
                found = [o for o in outcomes if isinstance(o, Reading)]
                for failure in (o for o in outcomes if isinstance(o, Failure)):
                    print(f"{setting.mode} {setting.precision} {share}: {failure}")
                if found:
                    rows.append(row(setting, share, found))
                    print(line(rows[-1]), flush=True)
            spent = (time.monotonic() - began) / repeats
            print(f"    {spent:.1f} s a batch of {len(setting.shares)} and the unpruned network")
    for doubt in sorted({doubt for told in rows for doubt in told["doubts"]}):
        print(f"doubted: {doubt}")
    print(f"{time.monotonic() - start:.0f} s in all")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
