"""A network that exists only as an ONNX file: simplified, its weights named, in canonical form."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx import version_converter

from hwprune.channels.canonical import canonical
from hwprune.channels.lists import write_lists
from hwprune.errors import NetworkError
from hwprune.network.folding_limit import FoldingLimit
from hwprune.network.free_batch import with_free_batch
from hwprune.network.input_shapes import Shapes, set_shapes
from hwprune.network.kernels import ROLES, with_kernels
from hwprune.network.layer_norms import with_layer_norms
from hwprune.network.simplify import simplified
from hwprune.stored import as_noun, plain_json
from hwprune_device.output_structure import OUTPUTS_KEY, recorded_structure
from hwprune_device.subgraphs import rename_reads
from hwprune_device.values import BUFFERS_KEY, SHARED_KEY, is_weight, metadata

OLDEST = 13
"""Opset from which axes and sizes are inputs everywhere, as the analysis reads them."""
_ALLOWZERO = 14
"""Opset from which a reshape may be told to take 0 for a size."""
_WEIGHTS_APART = 4
"""IR version from which weights need not be inputs."""


def read_network(path: Path, shapes: Shapes = ()) -> bytes:
    """An ONNX file, from any exporter, in the form that the analysis and the torch twin take.

    Shapes that are computed are worked out, layer norms that were written out are one node again,
    weights get names like a module's (`layer1.0.conv1.weight`, after their nodes), operators of
    old opsets are converted, a batch of 1 becomes any batch where that can be shown. Outputs stay
    the same.

    Args:
        path: the file; weights may lie beside it as external data.
        shapes: of the inputs, in order or by name, where the file leaves sizes open; the batch
            may stay open.

    Raises:
        NetworkError: no such file, no ONNX in it, or an operator that cannot be converted.
    """
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.onnx")) if path.parent.is_dir() else []
        raise NetworkError(
            f"the model file {path} is not there",
            given=str(path),
            possible=f"in {path.parent}: {', '.join(near[:6])}" if near else "",
        )
    try:
        proto = onnx.load(path)
    except Exception as error:  # protobuf and the file system have many ways to say no
        raise NetworkError(f"{path} is no ONNX model", given=str(error)) from error
    return imported(proto, shapes)


def imported(proto: onnx.ModelProto, shapes: Shapes = ()) -> bytes:
    """A loaded model in canonical form with named weights; see `read_network`.

    Raises:
        NetworkError: shapes do not fit, or an operator cannot be converted.
    """
    _drop_weight_inputs(proto)
    _drop_wrong_notes(proto)
    set_shapes(proto, shapes)
    write_lists(proto.graph)
    for node in proto.graph.node:
        # TensorFlow Lite names a layer after all that was fused into it; its own name is last.
        node.name = node.name.rpartition(";")[2]
    opset = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 0)
    try:
        if opset < OLDEST:
            proto = version_converter.convert_version(proto, OLDEST)
        proto = canonical(with_kernels(with_layer_norms(_worked_out(proto))))
        _name_weights(proto)
        onnx.checker.check_model(proto)
    except Exception as error:  # converter and optimiser raise whatever they meet
        raise NetworkError(
            f"the ONNX model cannot be read: {str(error).strip().splitlines()[0]}",
            given=f"opset {opset}",
            next_step="see whether onnx.checker.check_model takes it; or export it anew",
        ) from error
    return with_free_batch(bytes(proto.SerializeToString()))


def _drop_weight_inputs(proto: onnx.ModelProto) -> None:
    """Weights are no inputs, in place: up to IR version 3 they had to be listed as such."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    for position in reversed(range(len(proto.graph.input))):
        if proto.graph.input[position].name in weights:
            del proto.graph.input[position]
    proto.ir_version = max(proto.ir_version, _WEIGHTS_APART)


def _drop_wrong_notes(proto: onnx.ModelProto) -> None:
    """Notes under keys of ours that we cannot have written are taken out, in place."""
    notes = metadata(proto)
    for key, kind in ((SHARED_KEY, list[list[str]]), (BUFFERS_KEY, list[str])):
        try:
            as_noun(kind, plain_json(notes.get(key, "[]")))
        except ValueError:
            del notes[key]
    try:
        recorded_structure(proto)
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError):
        del notes[OUTPUTS_KEY]
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, notes)


def _without_allowzero(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model, in place, without an attribute that the simplification adds at any opset."""
    opset = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 0)
    for node in proto.graph.node if opset < _ALLOWZERO else ():
        # onnxscript's rules write it whatever the opset, and checkers refuse it before 14.
        kept = [a for a in node.attribute if a.name != "allowzero"]
        if node.op_type == "Reshape" and len(kept) < len(node.attribute):
            del node.attribute[:]
            node.attribute.extend(kept)
    return proto


def _simplified(proto: onnx.ModelProto, weights: set[str], limit: FoldingLimit) -> onnx.ModelProto:
    return _without_allowzero(ir.to_proto(simplified(ir.from_proto(proto), weights, limit)))


def _worked_out(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model in canonical form, with all that no input has a part in made a constant."""
    floats = [tensor for tensor in proto.graph.initializer if is_weight(tensor)]
    # A number alone is no layer's weight, but may be the step of a grid.
    weights = {tensor.name for tensor in floats if math.prod(tensor.dims) > 1}
    limit = FoldingLimit()
    proto = canonical(_simplified(proto, weights, limit))
    known = {tensor.name for tensor in proto.graph.initializer} - weights
    if any(node.input and known.issuperset(node.input) for node in proto.graph.node):
        # Sizes that the canonical form wrote out are what a detector's grid is made of.
        proto = canonical(_simplified(proto, weights, limit))
    return proto


def _name_weights(proto: onnx.ModelProto) -> None:
    """Names by layer and role for the weights of layers whose names are no state-dict keys."""
    weights = {tensor.name: tensor for tensor in proto.graph.initializer if is_weight(tensor)}
    renamed: dict[str, str] = {}
    buffers: list[str] = []
    taken = set(weights)
    last: dict[tuple[str, ...], int] = {}
    for node in proto.graph.node:
        roles = ROLES.get(node.op_type, ())
        named = {
            name: role
            for name, role in zip(node.input[1:], roles, strict=False)
            if name in weights and name not in renamed
        }
        first = next(iter(named.items()), ("", ""))
        path = (
            first[0].rpartition(".")[0]
            if _is_key(*first)
            else _free(node.name, roles, taken, last)
        )
        for name, role in named.items():
            renamed[name] = f"{path}.{role}"
            taken.add(renamed[name])
            if role.startswith("running_"):
                buffers.append(renamed[name])
    for node in proto.graph.node:
        rename_reads(node, renamed)
    for name, new in renamed.items():
        weights[name].name = new
    onnx.helper.set_model_props(proto, {**metadata(proto), BUFFERS_KEY: json.dumps(buffers)})


def _is_key(name: str, role: str) -> bool:
    parts = name.split(".")
    return parts[-1] == role and all(p.isidentifier() or p.isdigit() for p in parts)


def _path(node_name: str) -> str:
    """`/layer1/layer1.0/conv1/Conv` as `layer1.layer1_0.conv1`: a path that modules can have."""
    parts = [re.sub(r"\W", "_", part) for part in node_name.split("/") if part]
    path = ".".join(parts[:-1] if len(parts) > 1 else parts)
    return path or "layer"


def _free(
    node_name: str, roles: Sequence[str], taken: set[str], last: dict[tuple[str, ...], int]
) -> str:
    """A path under which no weight has a name; layers of one path get numbers.

    Args:
        last: by path and roles, where counting has come to.
    """
    path = _path(node_name)
    number = last.get((path, *roles), 1)
    free = path if number == 1 else f"{path}_{number - 1}"
    while any(f"{free}.{role}" in taken for role in roles):
        number, free = number + 1, f"{path}_{number}"
    last[(path, *roles)] = number
    return free
