"""The operation: how the graph applies a layer, as other tools' tables tell layers apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A convolution over a map, or a product with a vector, where all sizes are empty."""

    input_size: tuple[int, ...] = ()
    """Height and width of the map it reads; likewise the sizes below."""
    output_size: tuple[int, ...] = ()
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    """Before and after: top, left, bottom, right."""
    dilation: tuple[int, ...] = ()
    groups: int = 1
    """Of the unpruned network."""
    bias: bool = False
    then: tuple[str, ...] = ()
    """ONNX names of what reads it alone, one after another, up to the next layer; "Relu6" for a
    Clip to 0..6, "HardSwish" and "Swish" also where the graph spells them out, and "?" where it
    branches into more than other layers and sums."""

    @property
    def activation(self) -> str:
        """What is applied to it before all but normalization; empty where nothing is."""
        after = [name for name in self.then if name != "BatchNormalization"][:1]
        return after[0] if after and after[0] in ACTIVATIONS else ""


ACTIVATIONS: tuple[str, ...] = (
    *("Relu", "Relu6", "HardSwish", "Swish", "Clip", "Sigmoid", "HardSigmoid", "?"),
    *("LeakyRelu", "PRelu", "Elu", "Selu", "Tanh", "Gelu", "Mish", "Softplus"),
)
