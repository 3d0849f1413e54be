"""Ops rewritten in the one way that the analysis reads them; outputs stay bit for bit the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hwprune.channels.nodes import replace_nodes
from hwprune.channels.pads import write_pads
from hwprune.channels.reshape_targets import ODD_BATCH, batch_free_target, filled_in
from hwprune.channels.rows import gathered_rows, scattered_rows
from hwprune.channels.shape_values import shape_values
from hwprune.channels.size_factors import size_factors
from hwprune.channels.zeros import are_zeros
from hwprune_device.subgraphs import rename_reads
from hwprune_device.values import Shape, value_shapes

_OTHER_BATCH = 9973
"""A second one, where sizes are computed from the batch."""
_BENDING = ("Div", "Mod", "Sub", "Add", "Equal", "Where")
"""Ops after which a number that hangs on the batch need not be so many times the batch."""
_ENDLESS = 2**31
"""Numbers from here on stand for "to the end"."""
_AXES_OF_RESIZE = 18
"""Opset from which a Resize says which axes its sizes are of."""
BATCH = "hwprune.batch"
"""The value that holds the batch size, where a shape needs it."""


def rewritten(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every node in its one form; the given one is changed and returned.

    A shape that one rewrite makes known may be what the next one needs, so it goes on until no
    more become known.
    """
    unknown = -1
    while True:
        rewriter = Rewriter(model)
        rewriter.rewrite()
        # No fewer unknown shapes than in the round before: another would find nothing new.
        if rewriter.unknown in (0, unknown):
            return model
        unknown = rewriter.unknown


class Rewriter:
    """Rewrites the nodes of one graph; integer constants already belong to one node each."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self._shapes = value_shapes(model, ODD_BATCH)
        self.values = shape_values(model.graph, self._shapes)
        """Integers that are computed from shapes alone, by name."""
        if any(n.op_type in _BENDING and n.output[0] in self.values for n in model.graph.node):
            self._forget_bent(model)
        self.unknown = sum(
            not all(isinstance(size, int) for size in shape) for shape in self._shapes.values()
        )
        """Values with an axis of unknown size."""
        self._names = {node.name for node in model.graph.node}
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.producers = {name: node for node in model.graph.node for name in node.output}
        """Nodes by what they give."""
        self.renamed: dict[str, str] = {}
        """Values that turned out to be others."""
        self.outputs = {value.name for value in model.graph.output}
        """Names that the graph gives out, so that nothing may rename them."""
        self._first = next(v for v in model.graph.input if v.name not in self._constants)

    def _forget_bent(self, model: onnx.ModelProto) -> None:
        """Sizes and numbers that are neither fixed nor so many times the batch are not known.

        A batch that is halved looks like any number at one batch, and not at two.
        """
        others = value_shapes(model, _OTHER_BATCH)
        for name, shape in self._shapes.items():
            self._shapes[name] = tuple(
                size if _is_straight(size, other) else "?"
                for size, other in zip(shape, others.get(name, shape), strict=True)
            )
        values = shape_values(model.graph, others)
        self.values = {
            name: array
            for name, array in self.values.items()
            if name in values
            and array.shape == values[name].shape
            and all(map(_is_straight, array.reshape(-1), values[name].reshape(-1)))
        }

    def rewrite(self) -> None:
        """Rewrite every node that has another form."""
        nodes: list[onnx.NodeProto] = []
        for node in self._graph.node:
            rename_reads(node, self.renamed)
            if self._lifted(node):
                continue
            form = _FORMS.get(node.op_type)
            nodes += [node] if form is None else form(self, node)
        if BATCH not in self._names and any(BATCH in node.input for node in nodes):
            shape = helper.make_node(
                "Shape", [self._first.name], [BATCH], name=BATCH, start=0, end=1
            )
            nodes.insert(0, shape)
        replace_nodes(self._graph, nodes)

    def _lifted(self, node: onnx.NodeProto) -> bool:
        """Make a constant of what is computed from shapes alone and does not hang on the batch."""
        value = self.values.get(node.output[0])
        if value is None or node.name == BATCH or node.output[0] in self.outputs:
            return False
        # As large as the odd batch, it may have come from it.
        if ((np.abs(value) >= ODD_BATCH) & (np.abs(value) < _ENDLESS)).any():
            return False
        self._graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        return True

    def array(self, node: onnx.NodeProto, position: int) -> np.ndarray | None:
        """A node's input where it is a constant."""
        name = node.input[position] if position < len(node.input) else ""
        return numpy_helper.to_array(self._constants[name]) if name in self._constants else None

    def constant(self, name: str, values: list[int] | np.ndarray) -> str:
        """A constant, new or with a new value; its name."""
        array = np.array(values, np.int64) if isinstance(values, list) else values
        tensor = numpy_helper.from_array(array, name)
        if name in self._constants:
            self._constants[name].CopyFrom(tensor)
        else:
            self._graph.initializer.append(tensor)
            self._constants[name] = self._graph.initializer[-1]
        return name

    def known(self, name: str) -> list[int] | None:
        """A value's shape at the odd batch; None where an axis is not known."""
        shape: Shape = self._shapes.get(name, ("?",))
        return [int(d) for d in shape] if all(isinstance(d, int) for d in shape) else None

    def reshape(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The batch axis is copied (0) or inferred (-1), all else is written as a number."""
        before, after = self.known(node.input[0]), self.known(node.output[0])
        wished = self.values.get(node.input[1])
        if before and after is None and wished is not None:
            after = filled_in(before, wished.tolist())
        target = batch_free_target(before, after) if before and after else None
        if target is not None:
            kept = [a for a in node.attribute if a.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)
            node.input[1] = self.constant(f"{node.name}/in1", target)
        return [node]

    def flatten(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Flatten from axis 1 becomes Reshape [0, -1], as other exporters write it."""
        if next((a.i for a in node.attribute if a.name == "axis"), 1) == 1:
            node.op_type = "Reshape"
            node.ClearField("attribute")
            node.input.append(self.constant(f"{node.name}/in1", [0, -1]))
        return [node]

    def split(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Split into equal parts becomes Split by sizes, which can follow a cut."""
        shapes = [self.known(name) for name in node.output]
        if (len(node.input) > 1 and node.input[1]) or None in shapes:
            return [node]
        axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
        sizes = [shape[axis] for shape in shapes if shape]
        kept = [a for a in node.attribute if a.name == "axis"]
        del node.attribute[:]
        node.attribute.extend(kept)
        del node.input[1:]
        node.input.append(self.constant(f"{node.name}/in1", sizes))
        return [node]

    def expand(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Axes that do not grow are written as 1, which is right at any width."""
        name = f"{node.name}/shape"
        before, after = self.known(node.input[0]), self.known(node.output[0])
        wished = self.values.get(node.input[1])
        if before and after is None and wished is not None and (wished > 0).all():
            after = list(np.broadcast_shapes(before, wished.tolist()))
        if before is None or after is None or name in self._names:
            return [node]
        old = [1] * (len(after) - len(before)) + before
        target = [1 if a == b else b for a, b in zip(old, after, strict=True)]
        # A multiple of the batch would have to be computed from it.
        if any(size % ODD_BATCH == 0 and size != ODD_BATCH for size in target):
            return [node]
        if ODD_BATCH not in target:
            node.input[1] = self.constant(f"{node.name}/in1", target)
            return [node]
        parts = [
            BATCH if size == ODD_BATCH else self.constant(f"{node.name}/shape/in{k}", [size])
            for k, size in enumerate(target)
        ]
        node.input[1] = name
        sizes = helper.make_node("Concat", parts, [name], name=name, axis=0)
        return [sizes, self._filled(node) or node]

    def _filled(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """One number that fills a shape: each of its sizes can follow a cut."""
        number = self.array(node, 0)
        if number is None or number.ndim:
            return None
        value = numpy_helper.from_array(number.reshape(1))
        return helper.make_node(
            "ConstantOfShape", node.input[1:], node.output, name=node.name, value=value
        )

    def broadcast(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """An operand that was expanded to the other's shape is broadcast without that."""
        whole = self.known(node.output[0])
        for position, name in enumerate(node.input):
            source = self.producers.get(name)
            others = [other for k, other in enumerate(node.input) if k != position]
            if source is None or source.op_type != "Expand" or whole is None:
                continue
            if any(self.known(other) == whole for other in others):
                node.input[position] = source.input[0]
        return [node]

    def resize(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Sizes become factors, or sizes of height and width: no number of batch and channels."""
        before, after = self.known(node.input[0]), self.known(node.output[0])
        sized = len(node.input) > 3 and node.input[3]
        # Resized over batch or channels, it keeps the sizes that it came with.
        if not sized or before is None or after is None or before[:2] != after[:2]:
            return [node]
        mode = next((a.s for a in node.attribute if a.name == "mode"), b"nearest")
        # Factors where they can be exact: every opset has them, `axes` came with 18.
        factors = size_factors(before, after, nearest=mode == b"nearest")
        if factors is None and self._opset < _AXES_OF_RESIZE:
            return [node]
        kept = [a for a in node.attribute if a.name not in ("axes", "keep_aspect_ratio_policy")]
        del node.attribute[:]
        node.attribute.extend(kept)
        del node.input[1:]
        if factors is not None:
            node.input.extend(["", self.constant(f"{node.name}/in2", factors)])
            return [node]
        node.attribute.append(helper.make_attribute("axes", list(range(2, len(after)))))
        node.input.extend(["", "", self.constant(f"{node.name}/in3", after[2:])])
        return [node]

    def pads(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Padding named by a word becomes numbers."""
        sizes = self.known(node.input[0])
        kernel = next((a.ints for a in node.attribute if a.name == "kernel_shape"), None)
        if kernel is None and len(node.input) > 1:
            kernel = (self.known(node.input[1]) or [])[2:]
        if sizes is not None and kernel:
            write_pads(node, sizes[2:], kernel)
        return [node]

    def recurrent(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """First states of zeros are left out: they are what a layer without any starts from."""
        # initial_h, and LSTM's initial_c.
        for position in range(5, min(7, len(node.input))):
            if are_zeros(node.input[position], self.producers, self._constants):
                node.input[position] = ""
        return [node]


def _is_straight(size: int | str, other: int | str) -> bool:
    """Whether a size is the same at both batches, or as many times as large as the batch is."""
    if isinstance(size, str) or isinstance(other, str):
        return size == other
    return size == other or int(size) * _OTHER_BATCH == int(other) * ODD_BATCH


_FORMS: dict[str, Callable[[Rewriter, onnx.NodeProto], list[onnx.NodeProto]]] = {
    "Reshape": Rewriter.reshape,
    "Flatten": Rewriter.flatten,
    "Split": Rewriter.split,
    "Expand": Rewriter.expand,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"), Rewriter.broadcast),
    "Resize": Rewriter.resize,
    **dict.fromkeys(("Conv", "ConvTranspose", "AveragePool", "MaxPool", "LpPool"), Rewriter.pads),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), Rewriter.recurrent),
    "GatherND": gathered_rows,
    "ScatterND": scattered_rows,
}
