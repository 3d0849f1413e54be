"""Nodes without a torch twin, computed by ONNX's own reference implementation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

_NARROW = (torch.bfloat16, torch.float16)


class NoGradientError(ValueError):
    """A gradient is wanted through a node that torch's side has no twin of."""


class ReferenceLayer(nn.Module):
    """One node as a layer without weights: right at any device and type, slow, not trainable.

    Args:
        node: any node.
        opsets: of the model that the node is in.
        names: what the node reads, in the order in which the layer is given it.
    """

    def __init__(
        self,
        node: onnx.NodeProto,
        opsets: Sequence[onnx.OperatorSetIdProto],
        names: Sequence[str],
    ) -> None:
        super().__init__()
        self.said = f"{node.op_type} '{node.name}'"
        self.model = _model_of(node, opsets, names).SerializeToString()
        self.names = tuple(names)
        self._evaluator: ReferenceEvaluator | None = None

    def prepare(self) -> None:
        """Make ready to compute.

        Raises:
            NotImplementedError: there is no reference implementation either.
        """
        if self._evaluator is None:
            try:
                self._evaluator = ReferenceEvaluator(self.model)
            except Exception as error:  # it raises whatever it meets
                raise NotImplementedError(
                    f"{self.said} has no reference implementation"
                ) from error

    def forward(self, *inputs: Any) -> tuple[Any, ...]:
        """The node's outputs, without those that it leaves out.

        Raises:
            RuntimeError: the node cannot be computed with these inputs.
        """
        given: tuple[Any, ...] = _Computed.apply(self, *inputs)
        return given

    def compute(self, inputs: Sequence[Any]) -> list[Any]:
        """Outputs on the device, and in the float type, of the inputs."""
        tensors = [value for value in inputs if isinstance(value, torch.Tensor)]
        floats = [tensor.dtype for tensor in tensors if tensor.is_floating_point()]
        device = tensors[0].device if tensors else torch.device("cpu")
        try:
            found = self._run([_array(value) for value in inputs])
            return [_tensor(value, device, floats) for value in found]
        except Exception as error:  # numpy and the evaluator raise whatever they meet
            raise RuntimeError(f"{self.said} cannot be computed: {error}") from error

    def _run(self, arrays: Sequence[np.ndarray]) -> Any:
        self.prepare()
        assert self._evaluator is not None
        try:
            return self._evaluator.run(None, dict(zip(self.names, arrays, strict=True)))
        except Exception:
            # Some ops have constants of float32 inside, which do not go with doubles.
            narrow = [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays]
            if all(a is b for a, b in zip(arrays, narrow, strict=True)):
                raise
            return self._evaluator.run(None, dict(zip(self.names, narrow, strict=True)))

    def __getstate__(self) -> dict[str, Any]:
        # The evaluator is no part of the state: it is made anew where it is needed.
        return {**self.__dict__, "_evaluator": None}


class _Computed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layer: ReferenceLayer, *inputs: Any) -> tuple[Any, ...]:
        ctx.said = layer.said
        return tuple(layer.compute(inputs))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise NoGradientError(f"{ctx.said} has no torch twin, so nothing is learned through it")


def _model_of(
    node: onnx.NodeProto, opsets: Sequence[onnx.OperatorSetIdProto], names: Sequence[str]
) -> onnx.ModelProto:
    graph = onnx.GraphProto(name="node")
    graph.node.append(node)
    graph.input.extend(onnx.ValueInfoProto(name=name) for name in names)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name)
    model = onnx.ModelProto(ir_version=onnx.IR_VERSION, graph=graph)
    model.opset_import.extend(opsets)
    return model


def _array(value: Any) -> np.ndarray:
    if not isinstance(value, torch.Tensor):
        return np.asarray(value, dtype=np.int64)
    plain = value.detach().cpu()
    return (plain.float() if plain.dtype in _NARROW else plain).numpy()


def _tensor(value: Any, device: torch.device, floats: Sequence[torch.dtype]) -> torch.Tensor:
    tensor = torch.from_numpy(np.array(value)).to(device)
    # The evaluator computes in float32 where the module is in half.
    return tensor.to(floats[0]) if floats and tensor.is_floating_point() else tensor
