"""The same cut on the user's own class: parameters sliced by name, layer attributes put right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast, runtime_checkable

import numpy as np
import torch
from torch import nn

from hwprune.errors import NetworkError
from hwprune.network.copying import copied
from hwprune.network.modes import kept_modes
from hwprune_device.cut import KeptIndices, checked_keep
from hwprune_device.plan import CutPlan, LiteralCut
from hwprune_device.torch_graph.twin import is_state_key

Place = tuple[str, int | None]
"""A node inside a module, such as `Pad` or `Slice_1`, and the element of its number list."""


@runtime_checkable
class CutsLiterals(Protocol):
    """A module whose code holds channel counts, such as pad amounts, and can change them."""

    def cut_literals(self, values: Mapping[Place, int]) -> None:
        """Take over the new numbers; raise KeyError for a place the module does not know."""


def cut_module(
    module: nn.Module,
    plan: CutPlan,
    keep: Sequence[np.ndarray],
    *,
    example: torch.Tensor | Sequence[torch.Tensor] | None = None,
) -> nn.Module:
    """A deep copy of the module with only the kept units of each group.

    Numbers in Python code are out of reach: a module that has such numbers takes the new ones
    through `cut_literals` (see CutsLiterals), otherwise the cut is refused. The torch twin
    of the cut graph (`to_module`) has no such limits.

    Args:
        module: the module the plan's graph was traced from.
        plan: the cut plan.
        keep: kept units by group, ascending.
        example: N C H W, or one tensor an argument; when given, the cut module is run once.

    Raises:
        NetworkError: a weight of the plan is not in the module, a number in its code would have to
            change, or the cut module does not run.
    """
    kept = checked_keep(keep, plan)
    _refuse_gone(kept, plan)
    indices = KeptIndices(kept)
    cut = copied(module)
    _slice_tensors(cut, plan, indices)
    literals = _changed_literals(plan, [len(units) for units in kept])
    for path, values in literals.items():
        _change_literals(cut, path, values)
    # After the literals: the channels of a grouped convolution follow from its new `groups`.
    for layer in cut.modules():
        _fix_attributes(layer)
    if example is not None:
        _try(cut, example)
    return cut


def _refuse_gone(kept: Sequence[np.ndarray], plan: CutPlan) -> None:
    gone = [g.name for g, units in zip(plan.groups, kept, strict=True) if not len(units)]
    if gone:
        raise NetworkError(
            "a module's own code runs all its branches, also those that go",
            given=f"no channel of {', '.join(gone)}",
            possible="to_module of the cut graph, which needs no code of yours",
        )


def _slice_tensors(module: nn.Module, plan: CutPlan, indices: KeptIndices) -> None:
    """Slice every parameter and buffer of the plan; what two layers share stays shared."""
    sliced: dict[int, torch.Tensor] = {}
    by_name: dict[str, list[tuple[int, np.ndarray]]] = {}
    for axis_cut in plan.axes:
        if not is_state_key(axis_cut.initializer):
            continue  # a constant of the exporter's, such as group norm's neutral scale
        place = (axis_cut.axis, indices.of(axis_cut.spans))
        by_name.setdefault(axis_cut.initializer, []).append(place)
    for name, places in by_name.items():
        tensor = _tensor(module, name)
        new = tensor.detach()
        for axis, index in places:
            new = new.index_select(axis, torch.from_numpy(index).to(new.device))
        if isinstance(tensor, nn.Parameter):
            new = nn.Parameter(new, requires_grad=tensor.requires_grad)
        sliced[id(tensor)] = new
    for layer in module.modules():
        for store in (layer._parameters, layer._buffers):
            for leaf, held in store.items():
                if held is not None and id(held) in sliced:
                    store[leaf] = sliced[id(held)]  # type: ignore[assignment]


def _tensor(module: nn.Module, name: str) -> torch.Tensor:
    path, _, leaf = name.rpartition(".")
    try:
        return cast(torch.Tensor, getattr(module.get_submodule(path), leaf))
    except AttributeError:
        raise NetworkError(
            f"the module has no weight '{name}', which the cut plan slices",
            given=type(module).__name__,
            next_step="cut the module whose trace the plan was made of, or use to_module",
        ) from None


def _changed_literals(plan: CutPlan, widths: Sequence[int]) -> dict[str, dict[Place, int]]:
    """New numbers by the path of the module whose code holds them."""
    changed: dict[str, dict[Place, int]] = {}
    for literal in plan.literals:
        value = literal.value(widths)
        if value != literal.value(plan.widths):
            path, node = _origin(literal)
            changed.setdefault(path, {})[(node, literal.index)] = value
    return changed


def _origin(literal: LiteralCut) -> tuple[str, str]:
    """Module path and node: `layer2.0.shortcut` and `Pad` of `layer2.0.shortcut/Pad/in1`."""
    node_name = literal.node or literal.initializer.rpartition("/")[0]
    path, _, node = node_name.rpartition("/")
    return path, node


def _change_literals(module: nn.Module, path: str, values: dict[Place, int]) -> None:
    layer = module.get_submodule(path)
    match layer:
        case nn.modules.conv._ConvNd():
            layer.groups = next(iter(values.values()))
            return
        case nn.GroupNorm():
            layer.num_groups = next(iter(values.values()))
            return
        case nn.RNNBase():
            return  # its sizes are those of its weights
        case _:
            pass
    try:
        if isinstance(layer, CutsLiterals):
            layer.cut_literals(values)
            return
    except KeyError as error:
        raise _refusal(path, layer, values) from error
    raise _refusal(path, layer, values)


def _refusal(path: str, layer: nn.Module, values: dict[Place, int]) -> NetworkError:
    numbers = ", ".join(f"{node}[{index}] = {value}" for (node, index), value in values.items())
    return NetworkError(
        f"channel counts in the code of layer '{path or type(layer).__name__}' must change",
        given=f"{type(layer).__name__}; wanted: {numbers}",
        possible="to_module of the cut graph, which needs no code of yours",
        next_step="or give the layer a method cut_literals (see hwprune.network.cut_module)",
    )


def _fix_attributes(layer: nn.Module) -> None:
    """Sizes that layers note beside their weights."""
    match layer:
        case nn.ConvTranspose1d() | nn.ConvTranspose2d() | nn.ConvTranspose3d():
            layer.in_channels = layer.weight.shape[0]
            layer.out_channels = layer.weight.shape[1] * layer.groups
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            layer.out_channels = layer.weight.shape[0]
            layer.in_channels = layer.weight.shape[1] * layer.groups
        case nn.Linear():
            layer.out_features, layer.in_features = layer.weight.shape
        case nn.modules.batchnorm._NormBase() if layer.weight is not None:
            layer.num_features = layer.weight.shape[0]
        case nn.modules.batchnorm._NormBase() if layer.running_mean is not None:
            layer.num_features = layer.running_mean.shape[0]
        case nn.LayerNorm() if layer.weight is not None:
            layer.normalized_shape = tuple(layer.weight.shape)
        case nn.GroupNorm() if layer.weight is not None:
            layer.num_channels = layer.weight.shape[0]
        case nn.Embedding():
            layer.num_embeddings, layer.embedding_dim = layer.weight.shape
        case nn.PReLU():
            layer.num_parameters = layer.weight.shape[0]
        case nn.RNNBase():
            _fix_recurrent(layer)
        case _:
            pass


def _fix_recurrent(layer: nn.RNNBase) -> None:
    """The sizes of a recurrent module, which has one width for all its layers."""
    weights = dict(layer.named_parameters())
    widths = {name: w.shape[1] for name, w in weights.items() if name.startswith("weight_hh")}
    if len(set(widths.values())) > 1:
        raise NetworkError(
            f"the layers of a {type(layer).__name__} were cut to different widths",
            given=", ".join(f"{name} of {width}" for name, width in widths.items()),
            possible="to_module of the cut graph, which needs no code of yours",
            next_step="or make each layer a module of its own",
        )
    layer.hidden_size = next(iter(widths.values()))
    layer.input_size = weights["weight_ih_l0"].shape[1]
    for name, weight in weights.items():
        setattr(layer, name, weight)  # torch keeps a list of them beside


def _try(module: nn.Module, example: torch.Tensor | Sequence[torch.Tensor]) -> None:
    inputs = (example,) if isinstance(example, torch.Tensor) else tuple(example)
    try:
        with kept_modes(module), torch.no_grad():
            module.eval()(*inputs)
    except Exception as error:
        raise NetworkError(
            f"the cut module does not run: {str(error).strip().splitlines()[0]}",
            given=f"{type(module).__name__} with {', '.join(str(tuple(t.shape)) for t in inputs)}",
            possible="to_module of the cut graph, which needs no code of yours",
            next_step="look for channel counts written as numbers in forward()",
        ) from error
