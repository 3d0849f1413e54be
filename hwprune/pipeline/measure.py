"""Measures networks on one board, without a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from hwprune.board import Board, find_board, this_machine
from hwprune.budget import Constraint
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.errors import BoardError, InputError
from hwprune.farm.hello import refuse_emulated
from hwprune.farm.session import BoardSession
from hwprune.report.interval import of_readings
from hwprune_device.job import Job
from hwprune_device.reading import Failure, Reading

if TYPE_CHECKING:
    import torch
    from torch import nn

QUANTILES = (0.5, 0.9, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one network takes on one board."""

    board: Board
    """With the threads and the batch that it was asked for."""
    readings: tuple[Reading, ...]
    """Each from a process of its own."""

    @property
    def latency_ms(self) -> float:
        """Mean of the readings' medians."""
        return float(self.quantiles_ms["p50"]["value"])

    @property
    def memory_mb(self) -> float | None:
        """The most that any reading took; None where the runtime does not report it."""
        peaks = [r.memory.peak_mb for r in self.readings if r.memory.peak_mb is not None]
        return max(peaks, default=None)

    @property
    def energy_mj(self) -> float | None:
        """Median of the readings that have an energy; None without any."""
        found = [r.energy_mj for r in self.readings if r.energy_mj is not None]
        return median(found) if found else None

    @property
    def quantiles_ms(self) -> dict[str, dict[str, float]]:
        """Value and 95 % interval of p50, p90 and p95."""
        found = {}
        for quantile in QUANTILES:
            constraint = Constraint(quantity="latency_ms", at_most=1.0, quantile=quantile)
            interval = of_readings(constraint, self.readings)
            assert interval is not None  # there is at least one reading
            found[f"p{quantile * 100:g}"] = {
                "value": interval.value,
                "low": interval.low,
                "high": interval.high,
            }
        return found

    def to_json(self) -> dict[str, Any]:
        """All readings and what they say together, as plain data."""
        quantiles = self.quantiles_ms
        middle = quantiles["p50"]
        return {
            "board": self.board.name,
            "architecture": self.readings[0].architecture,
            "latency_ms": middle["value"],
            "low_ms": middle["low"],
            "high_ms": middle["high"],
            "quantiles_ms": quantiles,
            "memory_mb": self.memory_mb,
            "energy_mj": self.energy_mj,
            "energy_source": self.readings[-1].energy_source,
            "doubts": list(dict.fromkeys(doubt for r in self.readings for doubt in r.doubts)),
            "readings": [r.to_json() for r in self.readings],
        }


def measure(
    model: nn.Module | str | Path,
    example_inputs: torch.Tensor | tuple[torch.Tensor, ...] = (),
    *,
    board: Board | Path | str | None = None,
    threads: int | None = None,
    batch: int | None = None,
    repeat: int = 5,
) -> Measured:
    """Measure what a network takes on a board.

    Args:
        model: a torch module, or a network as the command line takes it: `torchvision:NAME`,
            `package.module:function`, an .onnx file.
        example_inputs: one batch, N first, for a module; a tuple for one of several arguments.
        board: a `Board`, a board's name or profile, or None for this machine.
        threads, batch: those of the board's profile by default.
        repeat: readings, each from a process of its own.

    Raises:
        InputError: the network or the board is not what is said of it.
        BoardError: the board does not answer, or cannot run the network.
    """
    base = make_base(_onnx_of(model, example_inputs))
    found = board if isinstance(board, Board) else find_board(str(board)) if board else None
    fitted = fit(found or this_machine(), base, threads, batch)
    readings = tuple(reading for _, reading in read(fitted, {"network": base}, repeat=repeat))
    return Measured(board=fitted, readings=readings)


def read(
    board: Board, networks: Mapping[str, BaseNetwork], *, repeat: int = 1
) -> Iterator[tuple[str, Reading]]:
    """Readings of networks as they come, each from a process of its own, by the networks' names.

    Raises:
        BoardError: the board does not answer, or a network does not run on it.
    """
    with BoardSession(board) as session:
        refuse_emulated(board, session.open())
        for name, base in networks.items():
            for number in range(repeat):
                yield name, take(session, base, f"{name}-{number + 1}")


def take(session: BoardSession, base: BaseNetwork, name: str) -> Reading:
    """One reading of the base network itself, in a fresh process on the board.

    Raises:
        BoardError: the board does not answer, or the network does not run on it.
    """
    board = session.board
    job = Job(
        job_id=name,
        base_id=base.base_id,
        base_architecture=base.architecture,
        base_widths=base.widths,
        target=board.target,
        protocol=board.protocol,
        candidates=(),
    )
    outcome = session.measure(job, base).outcomes[0]
    if isinstance(outcome, Failure):
        raise BoardError(
            f"board '{board.name}' could not measure the network",
            given=f"at '{outcome.stage}': {outcome.message}",
            next_step="hwprune doctor shows whether the board measures anything",
        )
    return outcome


def fit(board: Board, base: BaseNetwork, threads: int | None, batch: int | None) -> Board:
    """The board with other threads and batch, and cores for as many threads.

    Raises:
        InputError: more threads than cores, or a batch that the network does not have.
    """
    fixed = fixed_batch(base.onnx)
    if fixed and batch not in (None, fixed):
        raise InputError(
            "the network's batch is fixed",
            given=f"--batch {batch}",
            possible=str(fixed),
            next_step="export it with a symbolic first axis",
        )
    count = threads or board.target.threads
    allowed = sorted(os.sched_getaffinity(0))
    # Other threads than the profile's take cores from the last one down, as profiles do.
    kept = board.cores if threads is None else board.cores[-count:]
    cores = kept if count <= len(board.cores) else ()
    if board.is_here:
        cores = cores or tuple(allowed[-count:])
    if board.is_here and count > len(cores):
        raise InputError(
            "there are fewer cores than threads",
            given=f"--threads {count}",
            possible=f"1 to {len(allowed)}",
        )
    target = replace(board.target, threads=count, batch=fixed or batch or board.target.batch)
    return replace(board, target=target, cores=cores)


def fixed_batch(model: bytes) -> int:
    """Size of the first axis of the network's input; 0 where it is symbolic."""
    import onnx

    first = onnx.load_model_from_string(model).graph.input[0].type.tensor_type.shape.dim[0]
    return int(first.dim_value)


def _onnx_of(
    model: nn.Module | str | Path, example: torch.Tensor | Sequence[torch.Tensor]
) -> bytes:
    from hwprune.network.graph_source import load_graph
    from hwprune.network.trace import trace
    from hwprune.task.items import as_inputs

    inputs = as_inputs(example) if len(example) else ()
    if isinstance(model, str | Path):
        return load_graph(str(model), shapes=tuple(tuple(v.shape) for v in inputs)).onnx
    if not inputs:
        raise InputError("a module is traced on an example", next_step="give example_inputs")
    # One item is enough, as the trace leaves the size of the batch open.
    return trace(model, tuple(values[:1] for values in inputs))
