"""Tables of MobileNets written by hand, on a board whose costs are written here too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwprune.layer import ChannelCount, Layer, channels
from hwprune.operation import Operation
from hwprune.tables.model import judged
from hwprune.tables.table import Table, TableNetwork, TableRow

SIZE = 32
NORMED = ("BatchNormalization",)


def of_group(group: int) -> ChannelCount:
    return ChannelCount(fixed=0, per_unit=((group, 1),))


def convolution(
    name: str,
    inputs: ChannelCount,
    outputs: ChannelCount,
    *,
    side: int,
    kernel: int = 1,
    stride: int = 1,
    then: tuple[str, ...] = NORMED,
    depthwise: int = 0,
    dilation: int = 1,
) -> Layer:
    """A convolution with padding that keeps the size but for its stride.

    Args:
        depthwise: its unpruned channels, where it is that.
    """
    given = -(-side // stride)
    return Layer(
        name=name,
        positions=given * given,
        kernel=kernel * kernel,
        grouped=bool(depthwise),
        outputs=outputs,
        inputs=ChannelCount(fixed=1) if depthwise else inputs,
        operation=Operation(
            input_size=(side, side),
            output_size=(given, given),
            kernel=(kernel, kernel),
            stride=(stride, stride),
            padding=(kernel // 2,) * 4,
            dilation=(dilation, dilation),
            groups=depthwise or 1,
            then=then,
        ),
    )


def product(
    name: str, inputs: ChannelCount, outputs: ChannelCount, then: tuple[str, ...] = ()
) -> Layer:
    return Layer(
        name=name,
        positions=1,
        kernel=1,
        grouped=False,
        outputs=outputs,
        inputs=inputs,
        operation=Operation(bias=True, then=then),
    )


MOBILE_GROUPS = (
    ("stem", 8),
    ("first", 8),
    ("middle", 24),
    ("wide", 48),
    ("second", 8),
    ("end", 16),
)
MOBILE_GROUPS += (("mix", 32), ("squeeze", 6))


def mobile_layers(*, third_version: bool) -> tuple[Layer, ...]:
    """A stem; blocks without expansion, with stride, with its input added; a MobileNet's end.

    Args:
        third_version: with hard swish, squeeze-and-excitation and a mixing layer, as version 3.
    """
    stem, first, middle, wide, second, end, mix, squeeze = map(of_group, range(8))
    act = (*NORMED, "HardSwish" if third_version else "Relu6")
    squeezed = (
        convolution("b3.fc1", wide, squeeze, side=1, then=("Relu",)),
        convolution("b3.fc2", squeeze, wide, side=1, then=("HardSigmoid", "Mul")),
    )
    blocks = (
        convolution("b1.dw", stem, stem, side=16, kernel=3, then=act, depthwise=8),
        convolution("b1.out", stem, first, side=16),
        convolution("b2.in", first, middle, side=16, then=act),
        convolution("b2.dw", middle, middle, side=16, kernel=5, stride=2, then=act, depthwise=24),
        convolution("b2.out", middle, second, side=8),
        convolution("b3.in", second, wide, side=8, then=act),
        convolution("b3.dw", wide, wide, side=8, kernel=5, then=act, depthwise=48),
        *(squeezed if third_version else ()),
        convolution("b3.out", wide, second, side=8, then=(*NORMED, "Add")),
    )
    last = ChannelCount(fixed=10)
    tail: tuple[Layer, ...] = (product("logits", end, last),)
    if third_version:
        tail = (product("mix", end, mix, then=("HardSwish",)), product("logits", mix, last))
    return (
        convolution("stem", ChannelCount(fixed=3), stem, side=SIZE, kernel=3, stride=2, then=act),
        *blocks,
        convolution("end", second, end, side=8, then=(*act, "ReduceMean", "Reshape")),
        *tail,
    )


def board_ms(layers: tuple[Layer, ...], widths: np.ndarray) -> np.ndarray:
    """0.5 ms, and for each layer some for its data and some for its arithmetic; [n]."""
    inputs = channels([layer.inputs for layer in layers], widths)
    outputs = channels([layer.outputs for layer in layers], widths)
    places = np.array([layer.positions for layer in layers])
    work = places * np.array([layer.kernel for layer in layers])
    return 0.5 + (2e-5 * places * outputs + 4e-6 * work * inputs * outputs).sum(axis=1)


def table_of_layers(
    name: str, layers: tuple[Layer, ...], groups: tuple[tuple[str, int], ...], rows: int = 120
) -> Table:
    """The table of a network on such a board; widths in twos, every third row held out."""
    chance = np.random.default_rng(0)
    full = [width for _, width in groups]
    widths = np.array(
        [full, *([chance.choice(np.arange(2, w + 1, 2)) for w in full] for _ in range(rows))]
    )
    network = TableNetwork(
        name=name,
        architecture="a" * 64,
        base_id="b" * 64,
        count=1,
        copies=1,
        inputs=((1, 3, SIZE, SIZE),),
        groups=groups,
        layers=layers,
    )
    table = Table(
        board="lab-pi",
        target={"runtime": "onnxrt", "precision": "fp32", "threads": 1, "batch": 1, "options": {}},
        runtime_version="1.23.0",
        conditions_key="c",
        made_by="0.1.0",
        built_at="2026-01-01T00:00:00+00:00",
        device_minutes=1.0,
        networks=(network,),
        rows=tuple(
            TableRow(
                network=0,
                role="held out" if number % 3 == 2 else "network",
                widths=tuple(map(int, row)),
                latency_ms=float(latency),
                low_ms=0.99 * float(latency),
                high_ms=1.01 * float(latency),
                p95_ms=1.1 * float(latency),
                memory_mb=None,
                runs=60,
            )
            for number, (row, latency) in enumerate(
                zip(widths, board_ms(layers, widths), strict=True)
            )
        ),
    )
    return judged(table)


def mobile(*, third_version: bool) -> Table:
    groups = MOBILE_GROUPS if third_version else MOBILE_GROUPS[:6]
    name = "mobile3" if third_version else "mobile2"
    return table_of_layers(name, mobile_layers(third_version=third_version), groups)


def without_layers(table: Table) -> Table:
    own = replace(table.own, layers=())
    return replace(table, networks=(own, *table.networks[1:]))
