"""Convolutions of a network at the widths of a grid, for forms that know single layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hwprune.layer import Layer
from hwprune.operation import Operation
from hwprune.tables.exports.grid import Grid
from hwprune.tables.inverted_residuals import is_depthwise


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPoint:
    """One layer at some channels, with what follows it up to the next layer."""

    name: str
    operation: Operation
    inputs: int
    """All channels read, also where the layer is depthwise."""
    outputs: int
    groups: int
    latency_ms: float

    @property
    def side(self) -> int:
        """One side of the map it reads, which is square; 1 where it reads a vector."""
        return self.operation.input_size[0] if self.operation.input_size else 1

    @property
    def kernel(self) -> int:
        """One side of the kernel."""
        return self.operation.kernel[0] if self.operation.kernel else 1

    @property
    def stride(self) -> int:
        """The stride, which is the same both ways."""
        return self.operation.stride[0] if self.operation.stride else 1


@dataclass(slots=True)
class Convolutions:
    """Layers that a form with square maps and kernels can hold, and those that it cannot."""

    grid: Grid
    dilated: bool = False
    """Whether the form has a place for dilation."""
    left_out: list[str] = field(default_factory=list)
    """Filled as points are asked for."""

    def points(self) -> Iterator[LayerPoint]:
        """Convolutions, and products with a vector, at the grid's widths."""
        for layer in self.grid.table.own.layers:
            why = self._unlike(layer)
            if why:
                self.left_out.append(f"{layer.name}: {why}")
                continue
            # A split of whole latencies among layers can come out below nothing.
            below = 0
            for point in self._of(layer):
                if point.latency_ms > 0:
                    yield point
                else:
                    below += 1
            if below:
                self.left_out.append(f"{layer.name}: {below} widths predicted at no more than 0")

    def _of(self, layer: Layer) -> Iterator[LayerPoint]:
        assert layer.operation is not None
        depthwise = is_depthwise(layer, self.grid.table.own.full)
        # `inputs` of a grouped layer are those of one group, which is 1 here.
        axes = [layer.outputs if depthwise else layer.inputs, layer.outputs]
        for point in self.grid.points([layer], axes):
            yield LayerPoint(
                name=layer.name,
                operation=layer.operation,
                inputs=point.counts[0],
                outputs=point.counts[1],
                groups=point.counts[1] if depthwise else 1,
                latency_ms=point.latency_ms,
            )

    def _unlike(self, layer: Layer) -> str:
        """Why such a form cannot hold a layer; empty where it can."""
        applied = layer.operation
        if applied is None:
            return "how the graph applies it is not known"
        sizes = (applied.input_size, applied.kernel, applied.stride, applied.dilation)
        if any(len(set(size)) > 1 for size in (*sizes, applied.padding)):
            return f"not square: map {applied.input_size}, kernel {applied.kernel}"
        if set(applied.dilation) - {1} and not self.dilated:
            return f"dilated by {applied.dilation[0]}"
        if layer.grouped and not is_depthwise(layer, self.grid.table.own.full):
            return f"a convolution in {applied.groups} groups"
        if not applied.kernel and layer.positions != 1:
            return f"a product at {layer.positions} positions"
        return ""
