"""Traces a torch module to ONNX, once: candidates are cut from that graph, not exported."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import json
import logging
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, cast

import onnx
import onnx_ir as ir
import torch
from torch import fx, nn

from hwprune.channels.canonical import canonical
from hwprune.errors import NetworkError
from hwprune.network.copying import copied
from hwprune.network.exporter import exported
from hwprune.network.kernels import with_kernels
from hwprune.network.scripted import scripted
from hwprune.network.simplify import simplified
from hwprune_device.output_structure import leaves_of, record_structure, structure_of
from hwprune_device.subgraphs import rename_reads
from hwprune_device.torch_graph.twin import is_state_key
from hwprune_device.values import BUFFERS_KEY, EXPORTER_KEY, SHARED_KEY, is_weight, metadata

Example = torch.Tensor | Sequence[torch.Tensor]
"""What a network is run on once: one tensor, or one for each argument."""


def trace(module: nn.Module, example_input: Example) -> bytes:
    """The module's inference graph as ONNX, weights inside, in canonical form.

    The batch axis is symbolic where the module allows it, so one graph runs at batch 1 on a board
    and at batch N in torch. BatchNorm nodes stay; initializers are named by state_dict keys, nodes
    by the module they come from. Dropout does nothing at inference and is not in the graph. The
    metadata says how outputs are arranged (in a dict, nested), so that the torch twin's are too.

    Args:
        module: any torch module of tensors in and tensors out; it is not changed.
        example_input: N C H W for images, any values; a tuple for a module of several arguments.

    Raises:
        NetworkError: torch cannot export the module.
    """
    # Trained channels-last, a network would be traced with reshapes that undo the layout.
    still = copied(module).cpu().eval().to(memory_format=torch.contiguous_format)
    given = (example_input,) if isinstance(example_input, torch.Tensor) else tuple(example_input)
    examples = tuple(example.detach().cpu().contiguous() for example in given)
    flat, structures = _with_flat_outputs(still)
    try:
        model, exporter = _export(flat, examples)
    except Exception as error:
        shapes = ", ".join(str(tuple(example.shape)) for example in examples)
        raise NetworkError(
            f"the network cannot be traced: {str(error).strip().splitlines()[0]}",
            given=f"{type(module).__name__} with inputs of shape {shapes}",
            possible="tensors in, tensors out, no branch that depends on data",
            next_step="run torch.export.export(module, (input,)) to see where tracing stops",
        ) from error
    weights = _weights(still)
    model = simplified(model, weights)
    proto = canonical(ir.to_proto(model))
    # Before kernels are worked out: their names are keys that the module does not have either.
    _mark_constants(proto, weights)
    # Once more: the formulas that kernels came from are read by nothing now.
    proto = canonical(with_kernels(proto))
    onnx.helper.set_model_props(proto, {**metadata(proto), EXPORTER_KEY: exporter})
    _remember_buffers(proto, still)
    _remember_shared(proto, still)
    for structure in structures:
        record_structure(proto, structure)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _export(module: nn.Module, examples: tuple[torch.Tensor, ...]) -> tuple[ir.Model, str]:
    """The graph, and which of torch's exporters it is from."""
    # One item each, whatever batch the example has: a graph without an open batch is for batch 1.
    singles = tuple(example[:1] for example in examples)
    with _quiet():
        try:
            return _exported(module, singles), "torch.onnx.export, dynamo"
        except Exception:
            # What this takes has no branch that depends on data, which one run would hide.
            torch.export.export(module, singles, strict=False)
            with contextlib.suppress(Exception):
                return scripted(module, singles), "torch.onnx.export, TorchScript"
            raise


def _exported(module: nn.Module, singles: tuple[torch.Tensor, ...]) -> ir.Model:
    # torch.export treats a size of 1 as a constant, so the batch is traced at 2.
    pairs = tuple(torch.cat([single, single]) for single in singles)
    # An endless size is what torch 2.6 means by "to the end" of a slice, so it wants to know.
    batch = torch.export.Dim("batch", min=1, max=2**31)
    try:
        program = exported(module, pairs, _by_argument(module, pairs, {0: batch}))
    except Exception:
        # torch 2.6 opens no batch of a recurrent layer, and its older exporter does.
        if any(isinstance(layer, nn.RNNBase) for layer in module.modules()):
            raise
        # A module that fixes its batch, by a reshape to numbers, is traced for batch 1 alone.
        program = exported(module, singles, None)
    _name_by_module(program.model)
    return cast(ir.Model, program.model)


def _by_argument(module: nn.Module, examples: Sequence[torch.Tensor], entry: Any) -> Any:
    """The entry for each tensor, arranged as forward takes them: a tuple for `*inputs`."""
    signature = inspect.signature(module.forward)
    return {
        name: (entry,) * len(value) if isinstance(value, tuple) else entry
        for name, value in signature.bind(*examples).arguments.items()
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporter warnings are for its authors: none of them asks the user for anything."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


def _weights(module: nn.Module) -> set[str]:
    """Names of float parameters and buffers; a shared one has several, one is in the graph."""
    named = itertools.chain(
        module.named_parameters(remove_duplicate=False),
        module.named_buffers(remove_duplicate=False),
    )
    return {name for name, tensor in named if tensor.is_floating_point()}


def _name_by_module(model: ir.Model) -> None:
    """Node names become `layer1.0.conv1/Conv`: where in the module, and what."""
    for node in model.graph:
        scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
        # Modules from the outside in; the last entry is the operation itself.
        path = [part.strip(" '\"") for part in scopes.strip("[]").split(",")]
        module = path[-2] if len(path) > 1 else ""
        if module.startswith("_empty_nn_module"):
            # What the exporter adds itself belongs to no module.
            module = ""
        node.name = f"{module}/{node.op_type}" if module else node.op_type


def _mark_constants(proto: onnx.ModelProto, weights: Collection[str]) -> None:
    """Float tensors that were worked out, such as masks, get names that no parameter can have."""
    new = {
        tensor.name: f"constant/{tensor.name}"
        for tensor in proto.graph.initializer
        if is_weight(tensor) and is_state_key(tensor.name) and tensor.name not in weights
    }
    for tensor in proto.graph.initializer:
        tensor.name = new.get(tensor.name, tensor.name)
    for node in proto.graph.node:
        rename_reads(node, new)


def _remember_buffers(proto: onnx.ModelProto, module: nn.Module) -> None:
    known = {tensor.name for tensor in proto.graph.initializer}
    names = [name for name, _ in module.named_buffers() if name in known]
    onnx.helper.set_model_props(proto, {**metadata(proto), BUFFERS_KEY: json.dumps(names)})


def _remember_shared(proto: onnx.ModelProto, module: nn.Module) -> None:
    """Names that lead to one module or parameter, modules first."""
    names: dict[int, list[str]] = {}
    for name, part in itertools.chain(
        # A module without weights, such as one ReLU for all layers, is not in the twin.
        (entry for entry in module.named_modules(remove_duplicate=False) if entry[1].state_dict()),
        module.named_parameters(remove_duplicate=False),
    ):
        names.setdefault(id(part), []).append(name)
    shared = [group for group in names.values() if len(group) > 1]
    if shared:
        onnx.helper.set_model_props(proto, {**metadata(proto), SHARED_KEY: json.dumps(shared)})


def _with_flat_outputs(module: nn.Module) -> tuple[nn.Module, list[Any]]:
    """The module, changed in place so that its outputs are a flat tuple; and their structure.

    The exporter knows few arrangements, and outputs of a graph have none. The structure is put
    into the list when the module runs, unless it has keys that cannot be written down.
    """
    forward: Callable[..., Any] = module.forward
    found: list[Any] = []

    @functools.wraps(forward)
    def flat(*inputs: Any, **named: Any) -> Any:
        """The module's forward, its outputs as a flat tuple."""
        outputs = forward(*inputs, **named)
        leaves = leaves_of(outputs)
        if not leaves or not all(isinstance(leaf, torch.Tensor) for leaf in leaves):
            return outputs  # the exporter says what it makes of them
        with contextlib.suppress(TypeError):
            found[:] = [structure_of(outputs)]
        return tuple(leaves)

    if isinstance(module, fx.GraphModule):
        # torch.export interprets such a module's graph and calls no forward.
        parts, module = module, nn.Module()
        module._parameters, module._buffers = parts._parameters, parts._buffers
        module._modules = parts._modules
    module.forward = flat
    return module, found
