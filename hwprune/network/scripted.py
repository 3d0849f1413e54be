"""Torch's older exporter, for modules that the new one cannot take: it follows one run."""

from __future__ import annotations

import io
from collections.abc import Sequence

import onnx
import onnx_ir as ir
import torch
from torch import nn

from hwprune.network.modes import kept_modes
from hwprune_device.output_structure import leaves_of

OPSET = 18
_TOLERANCE = 1e-3
"""Relative; convolutions and matrix products of the two sides add up in other orders."""
_PREFIX = "network"


class ScriptedError(RuntimeError):
    """The graph of one run does not compute what the module computes."""


class _Held(nn.Module):
    """In train mode itself: then the exporter does not merge weights that happen to be equal."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.network(*inputs)


def scripted(module: nn.Module, examples: Sequence[torch.Tensor]) -> ir.Model:
    """The module's graph, with the batch left open where that can be shown to be right.

    Initializers are named by state-dict keys, nodes by the module they come from. One run says
    nothing of other sizes, so the graph is compared with the module on random inputs.

    Args:
        module: in eval mode, with a flat tuple of tensors for its outputs.
        examples: of batch 1.

    Raises:
        ScriptedError: the graph computes something else even at batch 1.
    """
    pairs = [torch.cat([example[:1]] * 2) for example in examples]
    try:
        model = _exported(module, pairs, open_batch=True)
        # Three items, a batch that was never traced.
        _expect_same(module, model, [torch.cat([example[:1]] * 3) for example in examples])
    except Exception:  # the exporter raises whatever it meets
        model = _exported(module, examples, open_batch=False)
        _expect_same(module, model, examples)
    return ir.from_proto(model)


def _exported(
    module: nn.Module, examples: Sequence[torch.Tensor], *, open_batch: bool
) -> onnx.ModelProto:
    held = _Held(module)
    file = io.BytesIO()
    names = [f"input_{position}" for position in range(len(examples))]
    with kept_modes(held):
        torch.onnx.export(
            held,
            tuple(examples),
            file,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            # Folded by the exporter, a turned weight would lose its name.
            do_constant_folding=False,
            # In eval mode the exporter folds BatchNorm into convolutions.
            training=torch.onnx.TrainingMode.PRESERVE,
            input_names=names,
            dynamic_axes={name: {0: "batch"} for name in names} if open_batch else None,
        )
    proto = onnx.load_model_from_string(file.getvalue())
    _name_by_module(proto)
    return proto


def _name_by_module(proto: onnx.ModelProto) -> None:
    """`network.fc.weight` as `fc.weight`; `/network/layer1/layer1.0/Conv` as `layer1.0/Conv`."""
    new = {
        tensor.name: tensor.name.removeprefix(f"{_PREFIX}.") for tensor in proto.graph.initializer
    }
    for tensor in proto.graph.initializer:
        tensor.name = new[tensor.name]
    for node in proto.graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        path: list[str] = []
        for part in node.name.strip("/").split("/")[:-1]:
            if path and part.startswith(f"{path[-1]}."):
                # torch repeats a container's path in its child's: `layer1`, then `layer1.0`.
                path.pop()
            path.append(part)
        scope = ".".join(path[1:] if path[:1] == [_PREFIX] else path)
        node.name = f"{scope}/{node.op_type}" if scope else node.op_type


def _expect_same(
    module: nn.Module, model: onnx.ModelProto, examples: Sequence[torch.Tensor]
) -> None:
    from hwprune.channels.canonical import canonical
    from hwprune.network.graph_module import to_module

    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(example.shape, generator=generator) if example.is_floating_point() else example
        for example in examples
    ]
    # `canonical` changes what it is given, and the caller goes on with the model as exported.
    copied = onnx.ModelProto.FromString(model.SerializeToString())
    with torch.no_grad():
        expected = leaves_of(module(*inputs))
        given = leaves_of(to_module(canonical(copied).SerializeToString())(*inputs))
    for found, wanted in zip(given, expected, strict=True):
        fits = found.shape == wanted.shape
        error = (found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30) if fits else 1.0
        # Written so that an error that is no number is one.
        if not float(error) <= _TOLERANCE:
            raise ScriptedError(f"the graph of one run computes something else, by {error}")
