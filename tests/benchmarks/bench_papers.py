"""The papers' own methods, as they are: mask sparsity beside what is really removed and gained.

    HWPRUNE_DATA=… python -m tests.benchmarks.bench_papers --out FILE.jsonl --root DIR
        [--networks resnet20 resnet56] [--methods …] [--effort 0.02] [--each 0.1] [--tuning 0.02]
    python -m tests.benchmarks.bench_papers --device cuda --out FILE.jsonl --root DIR --minutes 11
        --networks vgg16_bn resnet18 resnet110 --effort 1 --each 0.1 --tuning 1
    python -m tests.benchmarks.bench_papers --read FILE.jsonl

| method | is |
|---|---|
| `cg 20`, `cg 10` | arXiv 2110.08558, one share of weights a layer; so many percent may stay |
| `fg 20`, `fg 10` | the same, a soft mask for each filter |
| `magnitude 80` | so many percent of each layer's weights masked, the smallest ones |
| `magnitude 80 afresh` | the same from fresh weights, which is how the paper compares |
| `sensitive+ddpg rank`, `… protect` | doi 10.1007/s10462-023-10566-5, in both readings |
| `model`, `uniform`, … | methods of hwprune's own search at the same multiply-accumulates |

Of masks, "removed" is what can go for good: units that every layer which writes them has masked,
with all that reads them. "cut" is the accuracy once they are gone. Latency is read on this
machine's processor, or its GPU; in the masked network it would be the unpruned one's. `--effort`
is the share of the papers' episodes that is played, `--each` that of the iterations and images
before a reward, `--tuning` that of the last fine-tuning. With `--minutes` the time that is left is
divided among what is left to do. A row of the file is a method, so a killed run goes on.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch

from hwprune.board import this_machine
from hwprune.channels.base import BaseNetwork
from hwprune.progress import Progress
from hwprune.report.progress import shown
from tests.benchmarks.bench_gpu_search import gpu_board
from tests.benchmarks.papers.bases import BATCH, EPOCHS, base_of
from tests.benchmarks.papers.channel_rows import channel_row
from tests.benchmarks.papers.images import Images
from tests.benchmarks.papers.mask_episodes import Effort
from tests.benchmarks.papers.mask_rows import Work, mask_row
from tests.benchmarks.papers.masked import MaskedNetwork
from tests.benchmarks.papers.row import Row
from tests.benchmarks.row_file import add_row, rows_in

METHODS = (
    "cg 20",
    "cg 10",
    "fg 20",
    "magnitude 80",
    "magnitude 80 afresh",
    "sensitive+ddpg rank",
    "sensitive+ddpg protect",
    "model",
    "uniform",
)
HEADLINES = ("cg 20", "cg 10", "fg 20", "sensitive+ddpg rank", "model")
"""Where time is short: what the papers are known for, and one method beside it."""
MASKS = ("cg", "fg", "magnitude")
TRAINING = 2.0
"""Weight of training a network, where a row has 1: how time is divided."""
HEAD = (
    "| network | method | mask sparsity | params removed | MACs left | latency | of unpruned "
    "| before | after | cut | episodes |"
)


def row_of(
    name: str, method: str, base: BaseNetwork, work: Work, given: argparse.Namespace
) -> Row:
    """One row of the table."""
    torch.manual_seed(work.seed)
    if method.split()[0] in MASKS:
        return mask_row(name, method, MaskedNetwork(base, work.images), work)
    return channel_row(name, method, base, given.macs, work, given.out.with_suffix(".cache"))


def run(given: argparse.Namespace, progress: Progress) -> None:
    """Make the rows that are not in the file yet."""
    end_s = time.monotonic() + 60 * given.minutes if given.minutes else math.inf
    images = Images.load(given.root, given.device, test=given.test_images)
    done = {(row["network"], row["method"]) for row in rows_in(given.out)}
    todo = {name: [m for m in given.methods if (name, m) not in done] for name in given.networks}
    left = sum(len(methods) + TRAINING for methods in todo.values() if methods)
    late_s = 0.0
    for name in (name for name, methods in todo.items() if methods):
        until_s = _share(end_s, TRAINING / left)
        base = _base(name, images, until_s, given, progress)
        left -= TRAINING
        for method in todo[name]:
            # What follows after fine-tuning takes its time too, about as long as in the last row.
            work = _work(images, _share(end_s, 1 / left) - late_s, given, progress)
            row = row_of(name, method, base, work, given)
            late_s = max(0.0, time.monotonic() - work.until_s) if late_s == 0 else late_s
            add_row(given.out, row.to_json())
            print(_line(row.to_json()), flush=True)
            left -= 1


def _share(end_s: float, share: float) -> float:
    """The moment, on `time.monotonic`, when this share of the time that is left will be over."""
    now = time.monotonic()
    return now + max(0.0, end_s - now) * share


def _base(
    name: str, images: Images, until_s: float, given: argparse.Namespace, progress: Progress
) -> BaseNetwork:
    return base_of(
        name,
        images,
        given.out.with_suffix(".cache"),
        epochs=given.epochs,
        batch=given.base_batch,
        until_s=until_s,
        progress=progress,
    )


def _work(images: Images, until_s: float, given: argparse.Namespace, progress: Progress) -> Work:
    board = this_machine()
    if given.runtime == "torch":
        board = gpu_board(argparse.Namespace(device=given.device, batch=given.batch))
    return Work(
        images=images,
        board=board,
        readings=given.readings,
        effort=Effort(episodes=given.effort, each=given.each, tuning=given.tuning),
        began_s=time.monotonic(),
        until_s=until_s,
        seed=given.seed,
        progress=progress,
    )


def _line(row: dict[str, Any]) -> str:
    ms, share = row["latency_ms"], row["latency"]
    timed = "– | –" if ms is None else f"{ms:.3f} ms | {share:.0%}"
    return (
        f"| {row['network']} | {row['method']} | {row['mask_sparsity']:.1%} "
        f"| {row['params_removed']:.1%} | {row['macs']:.1%} | {timed} | {row['before']:.2%} "
        f"| {row['after']:.2%} | {row['cut']:.2%} | {row['episodes']} |"
    )


def main() -> None:
    """Make rows, or read them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path)
    parser.add_argument("--root", type=Path, default=Path("~/.cache/hwprune/data").expanduser())
    parser.add_argument("--networks", nargs="+", default=["resnet20", "resnet56"])
    parser.add_argument("--methods", nargs="+", help="on a GPU the headlines alone by default")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--effort", type=float, default=0.02)
    parser.add_argument("--each", type=float, default=0.1)
    parser.add_argument("--tuning", type=float, default=0.02)
    parser.add_argument("--minutes", type=float, default=0.0, help="0: as long as it takes")
    parser.add_argument("--macs", type=float, default=0.378, help="share that may stay")
    parser.add_argument("--epochs", type=float, default=EPOCHS, help="of networks trained here")
    parser.add_argument("--base-batch", type=int, default=BATCH, help="of networks trained here")
    parser.add_argument("--test-images", type=int, default=10_000)
    parser.add_argument("--runtime", choices=("onnxruntime", "torch"), help="of readings")
    parser.add_argument("--batch", type=int, default=256, help="of readings by torch")
    parser.add_argument("--readings", type=int, help="of a network")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    on_gpu = given.device == "cuda"
    given.methods = given.methods or (HEADLINES if on_gpu else METHODS)
    given.runtime = given.runtime or ("torch" if on_gpu else "onnxruntime")
    given.readings = given.readings or (1 if on_gpu else 3)
    torch.set_num_threads(given.threads or (8 if on_gpu else 1))
    if not given.read:
        with shown() as progress:
            run(given, progress)
    print(HEAD)
    print("|---" * HEAD.count(" | ") + "|---|")
    for row in rows_in(given.read or given.out):
        print(_line(row))


if __name__ == "__main__":
    main()
