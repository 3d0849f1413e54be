"""Recurrent layers as torch functions over ONNX's own weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import torch
from torch import fx

from hwprune_device.torch_graph.ops.registry import twin_of
from hwprune_device.torch_graph.twin import Twin, attributes

_USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


@twin_of("LSTM")
def lstm(twin: Twin, node: onnx.NodeProto) -> tuple[fx.Node, ...]:
    """torch's LSTM, whose gates are in another order."""
    reverse = _is_reverse(node, attributes(node))
    if any(node.input[7:8]) or attributes(node).get("input_forget", 0):
        raise NotImplementedError(f"{node.name} has peepholes")
    return twin.items(twin.call(run_lstm, *_inputs(twin, node, 7), reverse), 3)


@twin_of("GRU")
def gru(twin: Twin, node: onnx.NodeProto) -> tuple[fx.Node, ...]:
    """torch's GRU, or its formula where the reset comes before the product."""
    values = attributes(node)
    reverse, after = _is_reverse(node, values), bool(values.get("linear_before_reset", 0))
    return twin.items(twin.call(run_gru, *_inputs(twin, node, 6), reverse, after), 2)


@twin_of("RNN")
def rnn(twin: Twin, node: onnx.NodeProto) -> tuple[fx.Node, ...]:
    """torch's plain recurrent layer, with tanh or relu."""
    values = attributes(node)
    bent = {word.decode() for word in values.get("activations", ())} == {"Relu"}
    straight = {name: value for name, value in values.items() if name != "activations"}
    reverse = _is_reverse(node, straight if bent else values)
    return twin.items(twin.call(run_rnn, *_inputs(twin, node, 6), reverse, bent), 2)


def _is_reverse(node: onnx.NodeProto, values: Any) -> bool:
    """Whether the only direction is from the end; refuses what torch's layers do not do."""
    words = [word.decode() for word in values.get("activations", ())]
    usual = _USUAL[node.op_type]
    bent = set(values) & {"activation_alpha", "activation_beta", "clip"}
    if (words and words != usual * (len(words) // len(usual))) or bent:
        raise NotImplementedError(f"{node.name} bends as torch's layers do not")
    if any(node.input[4:5]) or values.get("layout", 0):
        raise NotImplementedError(
            f"{node.name} has sequences of several lengths, or the batch first"
        )
    return str(values.get("direction", "forward")) == "reverse"


def _inputs(twin: Twin, node: onnx.NodeProto, count: int) -> list[fx.Node | None]:
    """Data, weights, bias and first states; lengths are left out."""
    names = [*node.input, *[""] * count][:count]
    return [twin.get(name) if name else None for name in (*names[:4], *names[5:])]


def run_lstm(
    data: torch.Tensor,
    weight: torch.Tensor,
    recurrence: torch.Tensor,
    bias: torch.Tensor | None,
    hidden: torch.Tensor | None,
    cell: torch.Tensor | None,
    reverse: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """T N I, D 4H I, D 4H H, D 8H -> T D N H, D N H, D N H; gates are i o f c."""
    states = (_state(data, recurrence, hidden), _state(data, recurrence, cell))
    # From ONNX's i o f c to torch's i f c o.
    flat = _flat(weight, recurrence, bias, [0, 2, 3, 1])
    out, last, inside = _run(torch.lstm, data, states, flat, len(weight), reverse)
    return out, last, inside


def run_gru(
    data: torch.Tensor,
    weight: torch.Tensor,
    recurrence: torch.Tensor,
    bias: torch.Tensor | None,
    hidden: torch.Tensor | None,
    reverse: bool,
    after: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """T N I, D 3H I, D 3H H, D 6H -> T D N H, D N H; gates are z r h.

    `after` says that the reset comes after the product with the state, as in torch.
    """
    first = _state(data, recurrence, hidden)
    if not after:
        return _early_reset(data, weight, recurrence, bias, first, reverse)
    # From ONNX's z r h to torch's r z h.
    flat = _flat(weight, recurrence, bias, [1, 0, 2])
    out, last = _run(torch.gru, data, first, flat, len(weight), reverse)
    return out, last


def run_rnn(
    data: torch.Tensor,
    weight: torch.Tensor,
    recurrence: torch.Tensor,
    bias: torch.Tensor | None,
    hidden: torch.Tensor | None,
    reverse: bool,
    bent: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """T N I, D H I, D H H, D 2H -> T D N H, D N H; bent by relu instead of tanh."""
    first, flat = _state(data, recurrence, hidden), _flat(weight, recurrence, bias, [0])
    layer = torch.rnn_relu if bent else torch.rnn_tanh
    out, last = _run(layer, data, first, flat, len(weight), reverse)
    return out, last


def _run(
    layer: Callable[..., tuple[torch.Tensor, ...]],
    data: torch.Tensor,
    first: Any,
    flat: list[torch.Tensor],
    directions: int,
    reverse: bool,
) -> tuple[torch.Tensor, ...]:
    """torch's layer from the first states on: T D N H, and the last states."""
    has_bias = len(flat) == 4 * directions
    turned, both = _turned(data, reverse), directions == 2
    # Positions: biases, layers, dropout, training, bidirectional, batch first.
    out, *last = layer(turned, first, flat, has_bias, 1, 0.0, False, both, False)
    return _by_direction(_turned(out, reverse), directions), *last


def _early_reset(
    data: torch.Tensor,
    weight: torch.Tensor,
    recurrence: torch.Tensor,
    bias: torch.Tensor | None,
    first: torch.Tensor,
    reverse: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """GRU as Keras and ONNX have it by default: the reset state is multiplied with the weight."""
    directions, lasts = [], []
    for number, (w, r) in enumerate(zip(weight, recurrence, strict=True)):
        # The second of two directions runs from the end.
        backward = reverse or number == 1
        size = r.shape[-1]
        b = data.new_zeros(6 * size) if bias is None else bias[number]
        given = _turned(data, backward) @ w.T + b[: 3 * size]
        state, states = first[number], []
        for step in given:
            gates = step[:, : 2 * size] + state @ r[: 2 * size].T + b[3 * size : 5 * size]
            update, reset = torch.sigmoid(gates).chunk(2, 1)
            new = step[:, 2 * size :] + (reset * state) @ r[2 * size :].T + b[5 * size :]
            state = (1 - update) * torch.tanh(new) + update * state
            states.append(state)
        directions.append(_turned(torch.stack(states), backward))
        lasts.append(state)
    return torch.stack(directions, 1), torch.stack(lasts)


def _turned(data: torch.Tensor, reverse: bool) -> torch.Tensor:
    return data.flip(0) if reverse else data


def _state(
    data: torch.Tensor, recurrence: torch.Tensor, given: torch.Tensor | None
) -> torch.Tensor:
    """The first state: the one given, or zeros."""
    sizes = (len(recurrence), data.shape[1], recurrence.shape[-1])
    return data.new_zeros(sizes) if given is None else given


def _flat(
    weight: torch.Tensor, recurrence: torch.Tensor, bias: torch.Tensor | None, order: list[int]
) -> list[torch.Tensor]:
    """Weights as torch takes them: by direction, gates in its order."""
    flat = []
    for number in range(len(weight)):
        flat += [_ordered(part[number], order) for part in (weight, recurrence)]
        if bias is not None:
            flat += [_ordered(part, order) for part in bias[number].chunk(2)]
    return flat


def _ordered(gates: torch.Tensor, order: list[int]) -> torch.Tensor:
    parts = gates.chunk(len(order))
    return torch.cat([parts[place] for place in order])


def _by_direction(out: torch.Tensor, count: int) -> torch.Tensor:
    """T N D*H -> T D N H."""
    return out.unflatten(-1, (count, -1)).transpose(1, 2)
