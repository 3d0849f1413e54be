"""Layers with weights: real nn layers at the paths of their weights, where that can be."""

from __future__ import annotations

from typing import Any, cast

import onnx
import torch
import torch.nn.functional as F
from torch import fx, nn

from hwprune_device.torch_graph.ops.registry import twin_of
from hwprune_device.torch_graph.twin import Twin, attributes, even_pads, pad_same, torch_pads

_UNFILLED = torch.device("meta")
"""Layers are made without weights: drawing random ones costs more than all the rest."""
_CONVS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_FUNCTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_NORMS: dict[int, Any] = {
    2: nn.BatchNorm1d,
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
    5: nn.BatchNorm3d,
}


@twin_of("Conv")
def conv(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """nn.ConvNd; uneven padding becomes an F.pad before it."""
    values = attributes(node)
    weight_name, bias_name = node.input[1], node.input[2] if len(node.input) > 2 else ""
    axes = twin.rank(weight_name) - 2
    data = twin.get(node.input[0])
    pads = even_pads(values.get("pads", [0] * 2 * axes))
    if pads is None:
        data = twin.call(F.pad, data, torch_pads(values["pads"]))
        pads = [0] * axes
    options: dict[str, Any] = {
        "stride": tuple(values.get("strides", [1] * axes)),
        "padding": tuple(pads),
        "dilation": tuple(values.get("dilations", [1] * axes)),
        "groups": int(values.get("group", 1)),
    }
    word, weight = values.get("auto_pad", "NOTSET"), twin.weights.get(weight_name)
    # Pads depend on the size of what comes in, so they are computed when it runs.
    if word.startswith("SAME"):
        kernel = values.get("kernel_shape") or list(twin.weight(node, 1).shape[2:])
        places = (list(kernel), list(options["stride"]), list(options["dilation"]))
        data = twin.call(pad_same, data, *places, word == "SAME_UPPER")

    is_layer = _is_layer(twin, weight_name, bias_name, sorted(options.items()))
    if weight is None or not is_layer:
        parts = (twin.get(weight_name), twin.get(bias_name) if bias_name else None)
        return twin.call(_FUNCTIONS[axes], data, *parts, **options)

    def make() -> nn.Module:
        out, inside = weight.shape[0], weight.shape[1] * options["groups"]
        kernel = tuple(weight.shape[2:])
        with _UNFILLED:
            layer = _CONVS[axes](inside, out, kernel, bias=bool(bias_name), **options)
        return _filled(twin, layer, weight_name, bias_name)

    return twin.layer(_path(weight_name), make, data)


@twin_of("ConvTranspose")
def conv_transpose(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """F.conv_transposeNd over the weight as a parameter; uneven padding is cropped after it."""
    values = attributes(node)
    axes = twin.rank(node.input[1]) - 2
    if values.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or "output_shape" in values:
        raise NotImplementedError(f"{node.name} tells its pads by a size")
    pads = values.get("pads", [0] * 2 * axes)
    both = [min(pair) for pair in zip(pads[:axes], pads[axes:], strict=True)]
    out = twin.call(
        _TRANSPOSED[axes],
        *(twin.get(name) for name in node.input if name),
        stride=list(values.get("strides", [1] * axes)),
        padding=both,
        output_padding=list(values.get("output_padding", [0] * axes)),
        groups=int(values.get("group", 1)),
        dilation=list(values.get("dilations", [1] * axes)),
    )
    # F.conv_transpose crops both ends alike; what is left over is cropped by a negative pad.
    more = [size - even for size, even in zip(pads, [*both, *both], strict=True)]
    return twin.call(F.pad, out, torch_pads([-size for size in more])) if any(more) else out


@twin_of("BatchNormalization")
def batch_norm(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """nn.BatchNormNd, alive: in train mode it uses and updates batch statistics."""
    values = attributes(node)
    scale, bias, mean, var = node.input[1:5]
    if not all(name in twin.weights for name in node.input[1:5]):
        parts = (twin.get(name) for name in (node.input[0], mean, var, scale, bias))
        return twin.call(normalise_channels, *parts, float(values.get("epsilon", 1e-5)))
    path = _path(mean)
    affine = scale == f"{path}.weight"
    size = twin.weight(node, 3).shape[0]
    rank = twin.rank(node.input[0])

    def make() -> nn.Module:
        """The layer, with the network's own statistics."""
        # ONNX keeps a share `momentum` of the old value, torch takes that share of the new.
        momentum = round(1.0 - values.get("momentum", 0.9), 6)
        layer = _NORMS[rank](
            size, eps=values.get("epsilon", 1e-5), momentum=momentum, affine=affine
        )
        # Put there, not copied into: statistics have a type of their own.
        layer.running_mean, layer.running_var = twin.weights[mean], twin.weights[var]
        return _filled(twin, layer, scale, bias) if affine else layer

    out = twin.layer(path, make, twin.get(node.input[0]))
    if affine or _is_neutral(twin, scale, bias):
        return out
    shape = [1, -1] + [1] * (rank - 2)
    scaled = twin.call(torch.mul, out, twin.call(torch.reshape, twin.get(scale), shape))
    return twin.call(torch.add, scaled, twin.call(torch.reshape, twin.get(bias), shape))


def normalise_channels(
    data: torch.Tensor,
    mean: torch.Tensor,
    var: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
) -> torch.Tensor:
    """BatchNorm at inference, with statistics that the network computes."""
    return F.batch_norm(data, mean, var, scale, bias, False, 0.0, eps)


@twin_of("LayerNormalization")
def layer_norm(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """nn.LayerNorm at the path of its weight, or the function over weights that have no path."""
    values, weight_name = attributes(node), node.input[1]
    bias_name = node.input[2] if len(node.input) > 2 else ""
    weight, eps = twin.weights.get(weight_name), float(values.get("epsilon", 1e-5))
    first = int(values.get("axis", -1)) % twin.rank(node.input[0])
    if twin.rank(weight_name) != twin.rank(node.input[0]) - first or any(node.output[1:]):
        raise NotImplementedError(f"{node.name} normalises other axes than its scale has")
    is_layer = weight_name.endswith(".weight") and _is_layer(twin, weight_name, bias_name, eps)
    if weight is None or not is_layer:
        scale, shift = twin.get(weight_name), twin.get(bias_name) if bias_name else None
        return twin.call(normalise_layer, twin.get(node.input[0]), scale, shift, eps)

    def make() -> nn.Module:
        with _UNFILLED:
            layer = nn.LayerNorm(tuple(weight.shape), eps=eps, bias=bool(bias_name))
        return _filled(twin, layer, weight_name, bias_name)

    return twin.layer(_path(weight_name), make, twin.get(node.input[0]))


def normalise_layer(
    data: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor | None, eps: float
) -> torch.Tensor:
    """Layer norm over the axes of the scale."""
    return F.layer_norm(data, scale.shape, scale, shift, eps)


@twin_of("InstanceNormalization")
def instance_norm(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """F.instance_norm, which group norm is written with."""
    inputs = (twin.get(name) for name in node.input)
    return twin.call(_normalise_instances, *inputs, float(attributes(node).get("epsilon", 1e-5)))


def _normalise_instances(
    data: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, eps: float
) -> torch.Tensor:
    return F.instance_norm(data, weight=scale, bias=shift, eps=eps)


@twin_of("GroupNormalization")
def group_norm(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """F.group_norm, with a scale for each channel, or for each group as in older opsets."""
    values = attributes(node)
    inputs = (twin.get(name) for name in node.input)
    groups, eps = int(values["num_groups"]), float(values.get("epsilon", 1e-5))
    return twin.call(normalise_groups, *inputs, groups, eps)


def normalise_groups(
    data: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, groups: int, eps: float
) -> torch.Tensor:
    """Group norm of N C ...; scale and shift have one number a channel, or one a group."""
    each = data.shape[1] // scale.shape[0]
    scale, shift = scale.repeat_interleave(each), shift.repeat_interleave(each)
    return F.group_norm(data, groups, scale, shift, eps)


@twin_of("LRN")
def local_response(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Channels divided by what their neighbours respond."""
    values = attributes(node)
    numbers = (values.get("alpha", 1e-4), values.get("beta", 0.75), values.get("bias", 1.0))
    return twin.call(damp, twin.get(node.input[0]), int(values["size"]), *numbers)


def damp(data: torch.Tensor, size: int, alpha: float, beta: float, bias: float) -> torch.Tensor:
    """N C ..., each divided by (bias + alpha * mean square of `size` channels around) ** beta."""
    before = (size - 1) // 2
    # N C places, padded along the channels.
    squares = F.pad(data.square().flatten(2), (0, 0, before, size - 1 - before))
    means = squares.unfold(1, size, 1).sum(-1).reshape(data.shape) / size
    return data / (means * alpha + bias) ** beta


@twin_of("Gemm")
def gemm(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """nn.Linear where the Gemm is one, else the formula."""
    values = attributes(node)
    weight_name, bias_name = node.input[1], node.input[2] if len(node.input) > 2 else ""
    alpha, beta = values.get("alpha", 1.0), values.get("beta", 1.0)
    weight = twin.weights.get(weight_name)
    plain = values.get("transB", 0) and not values.get("transA", 0) and alpha == beta == 1.0
    plain = plain and weight_name.endswith(".weight")
    if plain and weight is not None and _is_layer(twin, weight_name, bias_name):
        out, inside = weight.shape

        def make() -> nn.Module:
            with _UNFILLED:
                layer = nn.Linear(inside, out, bias=bool(bias_name))
            return _filled(twin, layer, weight_name, bias_name)

        return twin.layer(_path(weight_name), make, twin.get(node.input[0]))
    left, right = twin.get(node.input[0]), twin.get(weight_name)
    left = twin.call(torch.t, left) if values.get("transA", 0) else left
    right = twin.call(torch.t, right) if values.get("transB", 0) else right
    product = twin.call(torch.mul, twin.call(torch.matmul, left, right), alpha)
    if not bias_name:
        return product
    return twin.call(torch.add, product, twin.get(bias_name), alpha=beta)


@twin_of("MatMul")
def matmul(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """torch.matmul."""
    return twin.call(torch.matmul, twin.get(node.input[0]), twin.get(node.input[1]))


@twin_of("Einsum")
def einsum(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """torch.einsum."""
    inputs = (twin.get(name) for name in node.input)
    return twin.call(torch.einsum, attributes(node)["equation"], *inputs)


def _path(weight: str) -> str:
    """Where the layer of a weight lives: `layer1.0.conv1` of `layer1.0.conv1.weight`."""
    path, _, leaf = weight.rpartition(".")
    return path if path and leaf in ("weight", "running_mean") else weight.replace(".", "_")


def _is_layer(twin: Twin, weight: str, bias: str, *options: object) -> bool:
    """Whether weight and bias are those of one nn layer, as the state dict's keys say.

    Two layers may share a weight and differ in bias or stride: those become functions.
    """
    path = _path(weight)
    named = weight != f"{path}.weight" or bias in ("", f"{path}.bias")
    return named and twin.is_one_layer(path, bias, *options)


def _filled(twin: Twin, layer: Any, weight: str, bias: str) -> nn.Module:
    with torch.no_grad():
        layer.weight = nn.Parameter(twin.weights[weight])
        if bias:
            layer.bias = nn.Parameter(twin.weights[bias])
    return cast(nn.Module, layer)


def _is_neutral(twin: Twin, scale: str, bias: str) -> bool:
    """Whether scale and bias are the ones and zeros of a BatchNorm without affine parameters."""
    return bool((twin.weights[scale] == 1).all() and (twin.weights[bias] == 0).all())
