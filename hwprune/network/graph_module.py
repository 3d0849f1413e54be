"""The torch twin of an ONNX graph: a trainable module, and back again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from hwprune.errors import NetworkError
from hwprune_device.output_structure import leaves_of
from hwprune_device.torch_graph.module import Unknown, UnknownOperatorError, module_of
from hwprune_device.torch_graph.network_module import NetworkModule
from hwprune_device.torch_graph.ops import EMITS
from hwprune_device.torch_graph.reference import NoGradientError, ReferenceLayer
from hwprune_device.values import is_weight


def to_module(model: bytes, *, runs: bool = True) -> NetworkModule:
    """An ONNX graph as a torch module that computes, trains and moves like any other.

    Convolutions, linear layers and BatchNorms are real nn layers at the dotted paths of their
    weights, so state_dict keys equal the user's. BatchNorm is alive: train() and eval() matter.
    Dropout vanishes when a network is traced, so it is not here. Any batch size, device, memory
    format or autocast type works. Outputs are arranged as the user's module arranges them, but a
    dataclass, or a mapping of any other kind, is a plain dict, and a named tuple a plain one.

    A node that torch's side does not know is computed by ONNX's reference implementation. Then
    the module computes the same and nothing is learned through that node (`expect_gradients`).

    Args:
        model: ONNX bytes in canonical form, as a trace, a base network or a cut has it.
        runs: False for a module that only holds the weights and may have nodes nobody knows here.

    Raises:
        NetworkError: the graph has an op that neither torch's side nor the reference knows.
    """
    try:
        return module_of(model, Unknown.COMPUTED if runs else Unknown.UNUSED)
    except UnknownOperatorError as error:
        raise NetworkError(
            f"the network cannot be rebuilt in torch: {error.said}",
            given=f"node '{error.node}'",
            possible=", ".join(sorted(EMITS)),
            next_step="add its torch twin to hwprune_device/torch_graph/ops",
        ) from error


def expect_gradients(model: bytes, inputs: Sequence[torch.Tensor]) -> None:
    """Refuse a network that gradients of its outputs do not come through.

    Args:
        model: as `to_module` takes it.
        inputs: as the network takes them.

    Raises:
        NetworkError: a node on the way is one that torch's side does not know.
    """
    module = to_module(model)
    if not any(isinstance(layer, ReferenceLayer) for layer in module.modules()):
        return
    with torch.enable_grad(), named_gradients():
        # A backward pass of any direction meets the same nodes, so the targets do not matter.
        outputs = [out for out in leaves_of(module(*inputs)) if out.requires_grad]
        torch.autograd.backward(outputs, [torch.ones_like(out) for out in outputs])


@contextlib.contextmanager
def named_gradients() -> Iterator[None]:
    """A gradient that does not come through a node is an error that names the node.

    Raises:
        NetworkError: there is such a node.
    """
    try:
        yield
    except NoGradientError as error:
        raise NetworkError(
            f"the network cannot be differentiated: {error}",
            possible="cuts by criteria of weights alone, such as l1, and no fine-tuning; ops with "
            f"a twin: {', '.join(sorted(EMITS))}",
            next_step="add its torch twin to hwprune_device/torch_graph/ops",
        ) from error


def users_module(model: bytes) -> NetworkModule:
    """The module of `to_module` as users get it: it can be traced again, and pickled.

    Raises:
        NetworkError: as in `to_module`.
    """
    module = to_module(model)
    for node in module.graph.nodes:
        if node.op == "call_function" and node.target.__module__.startswith("hwprune_device."):
            # fx's mark of functions that a tracer records and does not enter. fx never lets go of
            # code with such marks, so the thousands of candidates of a search go without.
            node.meta["is_wrapped"] = True
    module.recompile()
    return module


def to_onnx(module: nn.Module, template: bytes) -> bytes:
    """The template's graph with the module's weights.

    Args:
        module: its state_dict has every float initializer of the template, by name and shape.
        template: ONNX bytes, such as `Cutter.cut` gave and `to_module` turned into the module.

    Raises:
        NetworkError: a weight is missing or has another shape.
    """
    proto = onnx.load_model_from_string(template)
    state = module.state_dict()
    for tensor in proto.graph.initializer:
        if not is_weight(tensor) or tensor.name not in state:
            _expect_constant(tensor)
            continue
        # In float64, which holds every other float: numpy has no bfloat16 to take from torch.
        weight = state[tensor.name].detach().to("cpu", torch.float64).numpy()
        if weight.shape != tuple(tensor.dims):
            raise NetworkError(
                f"the weight '{tensor.name}' does not fit the graph",
                given=f"shape {weight.shape}",
                possible=f"shape {tuple(tensor.dims)}",
            )
        # Back in the graph's own type, also where half-precision weights were trained in float32.
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(weight, kind), tensor.name))
    return bytes(proto.SerializeToString())


def _expect_constant(tensor: onnx.TensorProto) -> None:
    if is_weight(tensor) and tensor.name.endswith(
        (".weight", ".bias", ".running_mean", ".running_var")
    ):
        raise NetworkError(
            f"the module has no weight '{tensor.name}', which the graph needs",
            next_step="give a module made by to_module or cut_module from the same base network",
        )
