"""Objects for worker processes, as factories name them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from hwprune.errors import DataError


def make_scorer(*, table: np.ndarray, folder: str) -> Any:
    """Looks items up in a table; some items are trouble."""
    threads = os.environ["OMP_NUM_THREADS"]

    def score(item: Any, progress: Any) -> Any:
        if item == "steps":
            progress.begin("count", 3)
            progress.skip(1, "known")
            progress.advance(1, "one")
            progress.advance(1, "two")
            progress.end("all")
            return "done"
        if item == "refuse":
            raise DataError("no such picture", given="cat.png", next_step="draw it")
        if item == "where":
            return os.getpid(), sorted(os.sched_getaffinity(0)), threads
        if item == "raise":
            raise ValueError("this item cannot be scored")
        if item == "exit":
            sys.exit("this item ends the program")
        if item == "sleep":
            time.sleep(60)
        if item == "a lock":
            return threading.Lock()
        if item == "die with words":
            print("out of luck", file=sys.stderr, flush=True)
            os._exit(9)
        if item == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "die once":
            mark = Path(folder) / "died"
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return "survived"
        return float(table[item])

    return score


def make_nothing(**arguments: Any) -> Any:
    """A factory that fails."""
    raise RuntimeError(f"no data in {sorted(arguments)}")
