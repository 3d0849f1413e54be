"""Weights of one loudness: each layer's are scaled so that what it writes has a size of one.

With random weights alone a deep network drowns some of its paths in others, a hundred million to
one, and what is wrong in such a path cannot be seen at the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

_LINEAR: dict[Callable[..., Any], bool] = {
    **dict.fromkeys((F.conv1d, F.conv2d, F.conv3d), True),
    **dict.fromkeys((F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d), True),
    **dict.fromkeys((torch.matmul, torch.einsum, torch.mul), False),
}
"""Functions that scale with each of their weights; True where all weights scale it together."""


class Levelling(fx.Interpreter):
    """Runs a twin once; `factors` are then what to multiply each weight by.

    Gradients may be asked for: those of a weight, times the weight, are the ones of the levelled
    network, because each result is scaled and not the weight before it.

    Args:
        module: the twin.
        drawn: names of the weights that may be scaled.
    """

    def __init__(self, module: fx.GraphModule, drawn: Collection[str]) -> None:
        super().__init__(module)
        self.factors: dict[str, float] = {}
        self._drawn = set(drawn)
        self._known: dict[str, float] = {}
        self._static: dict[fx.Node, tuple[str, ...]] = {}
        """By node that hangs on weights alone, which."""

    def run_node(self, n: fx.Node) -> Any:
        """One node, its result scaled where it is a layer's."""
        if n.op == "get_attr":
            self._static[n] = (str(n.target),)
        elif n.op == "call_module":
            return self._layer(n)
        elif n.op == "call_function":
            return self._function(n)
        return super().run_node(n)

    def _layer(self, n: fx.Node) -> Any:
        path = str(n.target)
        layer = self.module.get_submodule(path)
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            (data,), _ = self.fetch_args_kwargs_from_env(n)
            # (fx - m) / s is (x - m/f) / (s/f): data is scaled now, the statistics later.
            factor = self._factor(f"{path}.running_mean", data)
            self._note(f"{path}.running_mean", 1 / factor)
            self._note(f"{path}.running_var", 1 / factor**2)
            return layer(data * factor)
        result = super().run_node(n)
        # A layer norm gives numbers of size one by itself.
        if isinstance(layer, nn.LayerNorm) or f"{path}.weight" not in self._drawn:
            return result
        # wx + b scales as a whole, so both take one factor.
        return self._scaled([f"{path}.weight", f"{path}.bias"], result)

    def _function(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        static = [source for source in n.all_input_nodes if source in self._static]
        if static and len(static) == len(n.all_input_nodes):
            self._static[n] = tuple(name for node in static for name in self._static[node])
        elif static and n.target in _LINEAR:
            names = [name for node in static for name in self._static[node]]
            # A product of several weights scales with each of them: one takes the whole factor.
            return self._scaled(names if _LINEAR[n.target] else names[:1], result)
        return result

    def _scaled(self, names: Sequence[str], result: torch.Tensor) -> torch.Tensor:
        factor = self._factor(names[0], result)
        for name in names:
            self._note(name, factor)
        return result if factor == 1.0 else result * factor

    def _factor(self, name: str, data: torch.Tensor) -> float:
        """What brings the data to a size of one; a weight that is used again keeps its own."""
        if name not in self._known:
            real = data.numel() and data.is_floating_point()
            # A norm makes no copy of an attention map that fills gigabytes.
            size = float(torch.linalg.vector_norm(data.detach())) if real else 0.0
            size /= max(1, data.numel()) ** 0.5
            usable = name in self._drawn and 0 < size < float("inf")
            self._known[name] = 1 / size if usable else 1.0
        return self._known[name]

    def _note(self, name: str, factor: float) -> None:
        if name in self._drawn:
            self.factors.setdefault(name, factor)
