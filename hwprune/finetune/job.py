"""Fine-tunes several networks at a time, each in a process of its own on cores of its own.

Two processes with one thread each train more images than one with two threads, and a crash of one
is an error here and no more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from hwprune import errors
from hwprune.errors import HwpruneError
from hwprune.finetune.training import steps_per_epoch
from hwprune.finetune.worker import RESULT
from hwprune.network.data import Data
from hwprune.network.data_file import write_data
from hwprune.progress import Progress, Silent
from hwprune.recipe import Recipe

LOG = "worker.log"


def finetune_side_by_side(
    cuts: Mapping[str, bytes],
    *,
    teacher: bytes | None,
    recipe: Recipe,
    data: Data,
    folder: Path,
    progress: Progress | None = None,
    cores: Sequence[int] | None = None,
) -> dict[str, bytes]:
    """Fine-tune each network; called again after an interruption, it goes on.

    Args:
        cuts: networks as ONNX, by name; `folder / name` keeps what belongs to each.
        teacher: the unpruned network as ONNX.
        recipe: the same for all.
        data: `train` and `heldout` are handed to the processes, and nothing else.
        cores: processor cores to share; None for those this process may use.

    Raises:
        HwpruneError: as a training raised it, or because its process died.
    """
    progress = progress or Silent()
    shares = _shares(_cores(cores), len(cuts))
    progress.begin("fine-tune", len(cuts) * recipe.epochs * steps_per_epoch(data, recipe))
    with _Placed(folder, teacher, data) as placed:
        free: SimpleQueue[list[int]] = SimpleQueue()
        for share in shares:
            free.put(share)
        jobs = [
            _Job(name, _place(folder, name, model, recipe, placed), free)
            for name, model in cuts.items()
        ]
        try:
            with ThreadPoolExecutor(max_workers=len(shares)) as pool:
                for done in [pool.submit(job.run, progress) for job in jobs]:
                    done.result()
        except BaseException:
            for job in jobs:
                job.stop()
            raise
    progress.end(f"{len(cuts)} networks")
    return {name: (folder / name / RESULT).read_bytes() for name in cuts}


class _Placed:
    """The files that all jobs share; the data goes when the work is done, it may be large."""

    def __init__(self, folder: Path, teacher: bytes | None, data: Data) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data.safetensors"
        write_data(data, self.data, ("train", "heldout"))
        self.teacher = folder / "teacher.onnx" if teacher is not None else None
        if teacher is not None and self.teacher is not None:
            self.teacher.write_bytes(teacher)

    def __enter__(self) -> _Placed:
        return self

    def __exit__(self, *_: object) -> None:
        self.data.unlink(missing_ok=True)
        if self.teacher is not None:
            self.teacher.unlink(missing_ok=True)


class _Job:
    """One training process."""

    def __init__(self, name: str, file: Path, free: SimpleQueue[list[int]]) -> None:
        self._name = name
        self._file = file
        self._free = free
        self._process: subprocess.Popen[str] | None = None
        self._stopped = threading.Event()

    def run(self, progress: Progress) -> None:
        """Run to the end on a free share of the cores, and relay what the process says."""
        cores = self._free.get()
        try:
            self._run(progress, cores)
        finally:
            self._free.put(cores)

    def _run(self, progress: Progress, cores: Sequence[int]) -> None:
        if self._stopped.is_set():
            return
        command = [sys.executable, "-m", "hwprune.finetune.worker", str(self._file)]
        command += map(str, cores)
        said: dict[str, Any] = {}
        with (self._file.parent / LOG).open("w") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=_environment()
            )
            assert self._process.stdout is not None
            for line in self._process.stdout:
                said = json.loads(line)
                if "advance" in said:
                    note = f"{self._name}: {said['note']}" if said["note"] else ""
                    progress.advance(said["advance"], note)
            code = self._process.wait()
        if code and not self._stopped.is_set():
            raise self._error(said, code)

    def stop(self) -> None:
        """End the process; what its last checkpoint holds stays."""
        self._stopped.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def _error(self, said: Mapping[str, Any], code: int) -> HwpruneError:
        if "error" in said:
            kind: type[HwpruneError] = getattr(errors, said["error"], HwpruneError)
            parts = {key: said[key] for key in ("given", "possible", "next_step")}
            return kind(f"{self._name}: {said['happened']}", **parts)
        log = self._file.parent / LOG
        tail = log.read_text(errors="replace").strip().splitlines()[-3:]
        return HwpruneError(
            f"the process that fine-tuned '{self._name}' ended with {code}",
            given=" | ".join(tail) or "nothing on stderr",
            next_step=f"see {log}; resume the run once that is mended",
        )


def _place(folder: Path, name: str, model: bytes, recipe: Recipe, placed: _Placed) -> Path:
    """Write what one process needs; the job's file."""
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    (own / "cut.onnx").write_bytes(model)
    job = {
        "network": str((own / "cut.onnx").absolute()),
        "folder": str(own.absolute()),
        "data": str(placed.data.absolute()),
        "teacher": str(placed.teacher.absolute()) if placed.teacher else None,
        "recipe": asdict(recipe),
    }
    file = own / "job.json"
    file.write_text(json.dumps(job))
    return file


def _cores(given: Sequence[int] | None) -> list[int]:
    if given is not None:
        return list(given)
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _shares(cores: Sequence[int], count: int) -> list[list[int]]:
    """Cores for each of the processes that run at a time: equal shares, never an empty one."""
    at_once = max(1, min(count, len(cores)))
    return [list(cores[start::at_once]) for start in range(at_once)]


def _environment() -> dict[str, str]:
    """This process's, with its import path: hwprune may run from a checkout."""
    paths = [p for p in sys.path if p]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
