"""Inverted residual blocks among a network's layers: 1 x 1, depthwise, 1 x 1, as of MobileNets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwprune.layer import ChannelCount, Layer, channels
from hwprune.operation import ACTIVATIONS, Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class InvertedResidual:
    """One block."""

    expand: Layer | None
    """None where the depthwise convolution reads the block's input."""
    depthwise: Layer
    squeeze: tuple[Layer, ...]
    """The two layers of its squeeze-and-excitation, if it has one."""
    project: Layer

    @property
    def name(self) -> str:
        """Name of its first layer."""
        return self.layers[0].name

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All of its layers, in order."""
        first = () if self.expand is None else (self.expand,)
        return (*first, self.depthwise, *self.squeeze, self.project)

    @property
    def inputs(self) -> ChannelCount:
        """Channels it reads."""
        return self.middle if self.expand is None else self.expand.inputs

    @property
    def middle(self) -> ChannelCount:
        """Channels of its depthwise convolution."""
        return self.depthwise.outputs

    @property
    def outputs(self) -> ChannelCount:
        """Channels it gives."""
        return self.project.outputs

    @property
    def operation(self) -> Operation:
        """That of its depthwise convolution, which has the block's kernel, stride and sizes."""
        assert self.depthwise.operation is not None
        return self.depthwise.operation

    @property
    def adds_input(self) -> bool:
        """Whether its input is added to what it gives."""
        assert self.project.operation is not None
        return "Add" in self.project.operation.then

    @property
    def activation(self) -> str:
        """ONNX name of the activation in the block."""
        return self.operation.activation


Part = InvertedResidual | Layer


def parts_of(layers: Sequence[Layer], full: Sequence[int]) -> list[Part]:
    """A network's layers in order, those of inverted residuals together.

    Args:
        full: the network's unpruned widths.
    """
    found: list[Part] = []
    at = 0
    while at < len(layers):
        block = _block(layers, at, full)
        part: Part = layers[at] if block is None else block
        found.append(part)
        at += 1 if block is None else len(block.layers)
    return found


def is_depthwise(layer: Layer, full: Sequence[int]) -> bool:
    """Whether a layer has one filter a channel, in a network of those unpruned widths."""
    if not layer.grouped or layer.operation is None or layer.inputs != ChannelCount(fixed=1):
        return False
    # With a channel multiplier there are more outputs than groups.
    return bool(channels([layer.outputs], np.array([full]))[0, 0] == layer.operation.groups)


def is_pointwise(layer: Layer) -> bool:
    """Whether a layer is a 1 x 1 convolution that is applied everywhere."""
    applied = layer.operation
    return (
        applied is not None
        and applied.kernel == (1, 1)
        and applied.stride == (1, 1)
        and not layer.grouped
    )


def _block(layers: Sequence[Layer], at: int, full: Sequence[int]) -> InvertedResidual | None:
    """The block that begins with a layer, if one does."""
    expand = layers[at] if is_pointwise(layers[at]) else None
    # A block has at most five: expand, depthwise, two of squeeze-and-excitation, project.
    rest = list(layers[at + (expand is not None) : at + 5])
    if not rest or not is_depthwise(rest[0], full) or not _is_even(rest[0]):
        return None
    depthwise = rest.pop(0)
    squeeze: tuple[Layer, ...] = ()
    if len(rest) > 2 and _is_squeeze(rest[0], rest[1], depthwise):
        squeeze, rest = (rest[0], rest[1]), rest[2:]
    if not rest or not _is_projection(rest[0], depthwise):
        return None
    if expand is not None and expand.outputs != depthwise.outputs:
        return None
    block = InvertedResidual(expand=expand, depthwise=depthwise, squeeze=squeeze, project=rest[0])
    # A sum with something else than its input is no block that others know.
    keeps_shape = block.inputs == block.outputs and block.operation.stride == (1, 1)
    return block if keeps_shape or not block.adds_input else None


def _is_even(layer: Layer) -> bool:
    """Whether it does the same both ways, without dilation."""
    applied = layer.operation
    return (
        applied is not None
        and len(set(applied.kernel)) == len(set(applied.stride)) == 1
        and set(applied.dilation) == {1}
    )


def _is_squeeze(first: Layer, second: Layer, depthwise: Layer) -> bool:
    return (
        first.positions == second.positions == 1
        and first.inputs == second.outputs == depthwise.outputs
        and first.outputs == second.inputs
    )


def _is_projection(layer: Layer, depthwise: Layer) -> bool:
    """A linear 1 x 1 convolution of what the depthwise one gives."""
    applied = layer.operation
    return (
        is_pointwise(layer)
        and applied is not None
        and not any(name in ACTIVATIONS for name in applied.then)
        and layer.inputs == depthwise.outputs
        and layer.positions == depthwise.positions
    )
