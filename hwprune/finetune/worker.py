"""A training process: `python -m hwprune.finetune.worker JOB.json CORE...`.

Progress and the outcome are JSON lines on stdout; what libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from hwprune.errors import HwpruneError
from hwprune.progress import Progress
from hwprune.recipe import Recipe

RESULT = "model.onnx"


class PrintedProgress:
    """Progress as JSON lines. A reader that is gone ends the process at its next step."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, stage: str, total: int | None) -> None:
        """Say that a stage starts."""
        self.say(begin=stage, total=total)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Say that steps are done."""
        self.say(advance=count, note=note)

    def end(self, note: str = "") -> None:
        """Say that the stage is over."""
        self.say(end=note)

    def say(self, **facts: Any) -> None:
        """One line."""
        print(json.dumps(facts), file=self._stream, flush=True)


def finetune_package(
    network: bytes,
    *,
    recipe: Mapping[str, Any],
    data: Path,
    folder: Path,
    teacher: bytes | None = None,
    progress: Progress | None = None,
) -> bytes:
    """Train a cut network, given as ONNX, and give it back with its new weights.

    Args:
        network: ONNX bytes with BatchNorm alive.
        recipe: the fields of a `Recipe`.
        data: a file by `write_data` with `train` and `heldout`.
        folder: for checkpoints; `model.onnx` is written there at the end.
        teacher: the unpruned network as ONNX bytes.

    Raises:
        HwpruneError: see `trainer.train`.
    """
    from hwprune.finetune.trainer import train
    from hwprune.network.data_file import read_data
    from hwprune.network.graph_module import to_module, to_onnx

    module = to_module(network)
    train(
        module,
        read_data(data),
        Recipe(**recipe),
        folder=folder,
        teacher=None if teacher is None else to_module(teacher),
        progress=progress,
        stage="fine-tune",
    )
    trained = to_onnx(module, network)
    half = folder / f"{RESULT}.half"
    half.write_bytes(trained)
    os.replace(half, folder / RESULT)
    return trained


def main(job_file: Path, cores: Sequence[int]) -> int:
    """Do one job on the given cores; 0 when `model.onnx` is there."""
    # Libraries print to stdout at will, and the reader expects JSON there.
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    progress = PrintedProgress(lines)
    job = json.loads(job_file.read_text())
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    import torch

    torch.set_num_threads(len(cores))
    teacher = Path(job["teacher"]).read_bytes() if job["teacher"] else None
    try:
        finetune_package(
            Path(job["network"]).read_bytes(),
            recipe=job["recipe"],
            data=Path(job["data"]),
            folder=Path(job["folder"]),
            teacher=teacher,
            progress=progress,
        )
    except HwpruneError as error:
        parts = {key: getattr(error, key) for key in ("given", "possible", "next_step")}
        progress.say(error=type(error).__name__, happened=error.happened, **parts)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [int(core) for core in sys.argv[2:]]))
