"""A torch module under construction: an fx graph, and the layers and constants it uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import fx, nn

from hwprune_device.values import as_written, is_weight


class Twin:
    """Collects fx nodes for an ONNX graph and puts layers at the dotted paths of their weights.

    Args:
        graph: the ONNX graph.
        buffers: initializers that were buffers, not parameters.
        ranks: number of axes by value.
    """

    def __init__(
        self, graph: onnx.GraphProto, buffers: set[str], ranks: Mapping[str, int]
    ) -> None:
        self.root = nn.Module()
        self.fx = fx.Graph()
        self._buffers = buffers
        self._ranks = ranks
        self._values: dict[str, fx.Node] = {}
        self._parts: dict[str, tuple[object, ...]] = {}
        # By value: what computes the list of numbers, and the tensor it came from.
        self._lists: dict[str, tuple[fx.Node, fx.Node]] = {}
        self.constants: list[str] = []
        """Names, in the root, of tensors that are no weights."""
        self.weights: dict[str, torch.Tensor] = {}
        self._literals: dict[str, np.ndarray] = {}
        for tensor in graph.initializer:
            array = numpy_helper.to_array(tensor)
            if is_weight(tensor):
                self.weights[tensor.name] = _tensor(array)
            else:
                self._literals[tensor.name] = array

    def rank(self, name: str) -> int:
        """Number of axes of a value."""
        if name not in self._ranks:
            raise NotImplementedError(f"'{name}' has a shape that cannot be inferred")
        return self._ranks[name]

    def set(self, name: str, node: fx.Node) -> None:
        """Remember which fx node computes a value."""
        self._values[name] = node

    def set_list(self, name: str, node: fx.Node, origin: fx.Node) -> None:
        """Remember a value that is a list of plain numbers when the module runs: a shape.

        Args:
            name: of the value.
            node: what computes the list.
            origin: the tensor on whose device the numbers are put where they have to be a tensor.
        """
        self._lists[name] = (node, origin)

    def origin(self, names: Iterable[str]) -> fx.Node | None:
        """The tensor that the first of these values which is a list comes from."""
        return next((self._lists[name][1] for name in names if name in self._lists), None)

    def get(self, name: str) -> fx.Node:
        """The fx node of a value; a weight used as a plain tensor becomes an attribute."""
        if name not in self._values and name in self._lists:
            self._values[name] = self.call(tensor_of, *self._lists[name])
        if name not in self._values:
            self._values[name] = self._attribute(name)
        return self._values[name]

    def ints(self, node: onnx.NodeProto, position: int) -> list[int] | None:
        """A constant integer input as plain numbers; None where absent or computed."""
        found = self.integers(node, position)
        return None if found is None else found.reshape(-1).tolist()

    def integers(self, node: onnx.NodeProto, position: int) -> np.ndarray | None:
        """A constant integer input as an array; None where absent or computed."""
        return self._literals.get(node.input[position] if position < len(node.input) else "")

    def numbers(self, node: onnx.NodeProto, position: int) -> list[int] | fx.Node | None:
        """An integer input as a list: constant, or one that is there when the module runs.

        None where the node has no such input.
        """
        name = node.input[position] if position < len(node.input) else ""
        if not name:
            return None
        if name in self._lists:
            return self._lists[name][0]
        known = self.ints(node, position)
        return known if known is not None else self.call(list_of, self.get(name))

    def floats(self, node: onnx.NodeProto, position: int) -> list[float] | None:
        """A constant float input as plain numbers; None where absent or computed."""
        name = node.input[position] if position < len(node.input) else ""
        tensor = self.weights.get(name)
        return None if tensor is None else [as_written(x) for x in tensor.reshape(-1).tolist()]

    def weight(self, node: onnx.NodeProto, position: int) -> torch.Tensor:
        """An input that has to be a constant of floats: a kernel, a scale."""
        name = node.input[position]
        if name not in self.weights:
            raise NotImplementedError(f"{node.name} computes its input {position}")
        return self.weights[name]

    def scalar(self, node: onnx.NodeProto, position: int) -> float | None:
        """A constant scalar input; None where it is absent or no scalar."""
        name = node.input[position] if position < len(node.input) else ""
        tensor = self.weights.get(name)
        if tensor is not None and tensor.numel() == 1:
            return float(tensor)
        literal = self._literals.get(name)
        return literal.item() if literal is not None and literal.size == 1 else None

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        """An fx node that calls a function."""
        return self.fx.call_function(function, args, kwargs)

    def items(self, parts: fx.Node, count: int) -> tuple[fx.Node, ...]:
        """The first members of what a node computes."""
        return tuple(self.call(item_of, parts, position) for position in range(count))

    def layer(self, path: str, make: Callable[[], nn.Module], *inputs: fx.Node) -> fx.Node:
        """An fx node that calls the layer at `path`, made there unless it is there already."""
        if not self.has_layer(path):
            self._place(path, make())
        return self.fx.call_module(path, inputs)

    def is_one_layer(self, path: str, *parts: object) -> bool:
        """Whether the layer at `path` has these parts; the first to ask decides."""
        # A path can hold one layer: what another node would make there differently is a function.
        return self._parts.setdefault(path, parts) == parts

    def has_layer(self, path: str) -> bool:
        """Whether something was placed at this path."""
        try:
            # Plain modules are only steps on the way to deeper paths.
            return type(self.root.get_submodule(path)) is not nn.Module
        except AttributeError:
            return False

    def _place(self, path: str, layer: nn.Module) -> None:
        parent, _, name = path.rpartition(".")
        self._owner(parent).add_module(name, layer)

    def _owner(self, path: str) -> nn.Module:
        """The module at a path, made of empty modules where nothing is."""
        module = self.root
        for part in filter(None, path.split(".")):
            if part not in module._modules:
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        return module

    def constant(self, array: np.ndarray | torch.Tensor) -> fx.Node:
        """A tensor that is no weight but moves with the module."""
        place = f"_constant_{len(self._values)}"
        self._values[place] = self.fx.get_attr(place)
        tensor = array.clone() if isinstance(array, torch.Tensor) else _tensor(array)
        # A buffer until the module is whole, when `keep_constants` takes it out again.
        self.root.register_buffer(place, tensor, persistent=False)
        self.constants.append(place)
        return self._values[place]

    def _attribute(self, name: str) -> fx.Node:
        """A tensor of the state dict by its name, or a constant that moves with the module."""
        if name not in self.weights:
            return self.constant(self._literals[name])
        path, _, leaf = name.rpartition(".")
        tensor = self.weights[name]
        if not is_state_key(name):
            return self.constant(tensor)
        owner = self._owner(path)
        if name in self._buffers:
            owner.register_buffer(leaf, tensor)
        elif leaf not in dict(owner.named_parameters(recurse=False)):
            owner.register_parameter(leaf, nn.Parameter(tensor))
        return self.fx.get_attr(name)


def _tensor(array: np.ndarray) -> torch.Tensor:
    """A copy of an array; torch takes no bfloat16 from numpy, but its bits."""
    copy = np.array(array)
    if copy.dtype.name == "bfloat16":
        return torch.from_numpy(copy.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(copy)


def item_of(parts: Any, position: int) -> torch.Tensor:
    """One of several results."""
    return cast(torch.Tensor, parts[position])


def tensor_of(numbers: list[int], origin: torch.Tensor) -> torch.Tensor:
    """A list of numbers as a tensor on another's device."""
    return torch.tensor(numbers, dtype=torch.int64, device=origin.device)


def list_of(data: torch.Tensor) -> list[int]:
    """A tensor of whole numbers as a list."""
    return [int(number) for number in data.reshape(-1).tolist()]


def is_state_key(name: str) -> bool:
    """Whether an initializer name can be a state-dict key, unlike the exporter's `val_12`.

    Modules may be called anything (RegNet has a `block1-0`); paths of nodes have slashes.
    """
    leaf = name.rpartition(".")[2]
    made_up = re.fullmatch(r"val_\d+", name) or leaf.startswith("lifted_tensor_")
    return bool(leaf) and not made_up and not {"/", ":"} & set(name)


def attributes(node: onnx.NodeProto) -> Mapping[str, Any]:
    """A node's attributes as plain values."""
    values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return as_written(value)
    return value.decode() if isinstance(value, bytes) else value


def even_pads(pads: Sequence[int]) -> list[int] | None:
    """ONNX pads (begins, ends) as one number per axis; None where the two ends differ."""
    half = len(pads) // 2
    return list(pads[:half]) if list(pads[:half]) == list(pads[half:]) else None


def torch_pads(pads: Sequence[int]) -> list[int]:
    """ONNX pads (begins, ends) in the order of torch's F.pad: last axis first."""
    half = len(pads) // 2
    return [pads[k] for axis in reversed(range(half)) for k in (axis, axis + half)]


def pad_same(
    data: torch.Tensor,
    kernel: list[int],
    strides: list[int],
    dilations: list[int],
    upper: bool,
    number: float = 0.0,
) -> torch.Tensor:
    """Data padded to as many places as strides fit in; the odd one is at the end if `upper`."""
    return F.pad(data, same_pads(data, kernel, strides, dilations, upper), value=number)


def same_pads(
    data: torch.Tensor, kernel: list[int], strides: list[int], dilations: list[int], upper: bool
) -> list[int]:
    """Pads of `pad_same`, in the order of F.pad."""
    pads: list[int] = []
    rows = zip(data.shape[2:], kernel, strides, dilations, strict=True)
    for size, window, stride, dilation in reversed(list(rows)):
        # Elements that a window spans, with the gaps of its dilation.
        reach = (window - 1) * dilation + 1
        # ceil(size / stride) windows, as ONNX counts for SAME_UPPER and SAME_LOWER.
        total = max(0, (-(-size // stride) - 1) * stride + reach - size)
        less, more = total // 2, total - total // 2
        pads += [less, more] if upper else [more, less]
    return pads
