"""A table of a board that computes channels in blocks of 16, and of what it would truly take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwprune.layer import ChannelCount, Layer, channels
from hwprune.tables.model import judged
from hwprune.tables.table import Role, Table, TableNetwork, TableRow

BLOCK = 16
START = 0.05
"""Milliseconds that a network takes beside its layers."""


def network(inner: Sequence[int], stream: int = 64, name: str = "net") -> TableNetwork:
    """A stream through residual blocks, each with a width of its own inside."""
    whole = ChannelCount(fixed=0, per_unit=((0, 1),))
    layers = []
    for number in range(1, len(inner) + 1):
        mine = ChannelCount(fixed=0, per_unit=((number, 1),))
        for place, (inputs, outputs) in enumerate(((whole, mine), (mine, whole)), 1):
            layers.append(_layer(f"part{number % 3}.{number}.conv{place}", inputs, outputs))
    groups = [("stem", stream)]
    groups += [(f"part{n % 3}.{n}.conv1", width) for n, width in enumerate(inner, 1)]
    return TableNetwork(
        name=name,
        architecture="a" * 64,
        base_id="b" * 64,
        count=1,
        copies=1,
        inputs=((1, 3, 32, 32),),
        groups=tuple(groups),
        layers=tuple(layers),
    )


def joined(first: int = 32, second: int = 32, inner: int = 64) -> TableNetwork:
    """Two groups beside each other on one axis, which the layers of a third one read."""
    both = ChannelCount(fixed=0, per_unit=((0, 1), (1, 1)))
    mine = ChannelCount(fixed=0, per_unit=((2, 1),))
    one = network([inner], stream=first)
    return replace(
        one,
        groups=(("left", first), ("right", second), ("inner", inner)),
        layers=(_layer("read", both, mine), _layer("give", mine, both)),
    )


def block_ms(of: TableNetwork, widths: np.ndarray) -> np.ndarray:
    """What the board takes at widths [n, groups]: all blocks that are begun; [n]."""
    inputs, outputs = (
        np.ceil(channels(counts, np.asarray(widths)) / BLOCK)
        for counts in ([k.inputs for k in of.layers], [k.outputs for k in of.layers])
    )
    return np.asarray(START + 0.004 * (inputs * outputs).sum(axis=1))


def block_table(
    of: TableNetwork,
    *,
    learned: int = 80,
    held_out: int = 20,
    noise: float = 0.005,
    seed: int = 0,
    step: int = 4,
) -> Table:
    """A table of readings at widths in steps, each off by `noise`; the unpruned too."""
    chance = np.random.default_rng(seed)
    drawn = np.stack(
        [chance.choice(np.arange(step, w + 1, step), learned + held_out) for w in of.full], axis=1
    )
    drawn[0] = of.full
    read = block_ms(of, drawn) * np.exp(chance.normal(0, noise, len(drawn)))
    roles: list[Role] = ["network"] * learned + ["held out"] * held_out
    rows = tuple(
        _row(role, tuple(map(int, widths)), float(ms))
        for role, widths, ms in zip(roles, drawn, read, strict=True)
    )
    return judged(
        Table(
            board="block-board",
            target={"runtime": "onnxrt", "threads": 2, "precision": "fp32", "batch": 1},
            runtime_version="1.23.0",
            conditions_key="c" * 64,
            conditions={"board": {"machine": "aarch64", "os": "unavailable"}},
            protocol={"rounds": 20},
            made_by="0.1.0",
            built_at="2026-01-02T03:04:05+00:00",
            device_minutes=12.5,
            networks=(of,),
            rows=rows,
        )
    )


def _row(role: Role, widths: tuple[int, ...], ms: float) -> TableRow:
    return TableRow(
        network=0,
        role=role,
        widths=widths,
        latency_ms=ms,
        low_ms=0.99 * ms,
        high_ms=1.01 * ms,
        p95_ms=1.1 * ms,
        memory_mb=None,
        runs=60,
        taken_at="2026-01-02T03:04:05+00:00",
    )


def _layer(name: str, inputs: ChannelCount, outputs: ChannelCount) -> Layer:
    return Layer(name=name, positions=64, kernel=9, grouped=False, inputs=inputs, outputs=outputs)


def with_blocks(table: Table, blocks: Sequence[TableNetwork], copies: int = 2) -> Table:
    """The table with 24 readings of each block, several copies at once."""
    chance = np.random.default_rng(21)
    networks, rows = list(table.networks), list(table.rows)
    for number, block in enumerate(blocks, len(networks)):
        hash_ = f"{number}" * 64
        networks.append(replace(block, name=f"block{number}", architecture=hash_, copies=copies))
        drawn = np.stack([chance.choice(np.arange(4, w + 1, 4), 24) for w in block.full], axis=1)
        read = START + copies * (block_ms(block, drawn) - START)
        rows += [
            replace(_row("block", tuple(map(int, widths)), float(ms)), network=number)
            for widths, ms in zip(drawn, read, strict=True)
        ]
    return judged(replace(table, networks=tuple(networks), rows=tuple(rows)))
