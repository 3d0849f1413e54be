"""One pass over training images that shows criteria what flows through a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from hwprune.errors import NetworkError
from hwprune.saliency.output_axes import GroupScores
from hwprune.saliency.places import Place, graph_module, written_places
from hwprune.saliency.registry import Subject
from hwprune.saliency.sample import batches
from hwprune.task.items import Inputs
from hwprune_device.output_structure import leaves_of

BATCH = 32

Statistic = Callable[[torch.Tensor], torch.Tensor | None]
"""Values N C … to a number a channel, C, the mean over images; None where they have no such."""


class Observer(fx.Interpreter):
    """Runs a network and hands over the values of chosen nodes as they come; none is kept.

    Args:
        graph: the network.
        watched: by node, what is called with its value.
    """

    def __init__(
        self, graph: fx.GraphModule, watched: Mapping[fx.Node, Callable[[torch.Tensor], None]]
    ) -> None:
        super().__init__(graph)
        self._watched = watched

    def run_node(self, n: fx.Node) -> Any:
        """fx's step, and the watcher's."""
        value = super().run_node(n)
        if n in self._watched:
            self._watched[n](value)
        return value


def channel_means(
    subject: Subject, statistic: Statistic, images: int
) -> list[tuple[Place, np.ndarray]]:
    """The mean over training images of a statistic of every place's channels, in one pass.

    Args:
        subject: has a task.
        statistic: sees each place behind its activations, a batch at a time.
        images: how many are looked at.
    """
    graph = graph_module(subject)
    places = written_places(graph, subject, "activation")
    sums: dict[fx.Node, torch.Tensor] = {}
    seen = 0

    def watch(place: Place) -> Callable[[torch.Tensor], None]:
        """What adds a batch's statistic to the place's sum."""

        def add(value: torch.Tensor) -> None:
            found = statistic(place.channels(value))
            if found is not None:
                # Weighted by the batch's size, because the last one may be smaller.
                so_far = sums.get(place.node, torch.zeros(()))
                sums[place.node] = so_far + found.double() * len(value)

        return add

    observer = Observer(graph, {place.node: watch(place) for place in places})
    with torch.inference_mode():
        for batch in batches(subject, images, BATCH):
            observer.run(*batch)
            seen += len(batch[0])
    return [(p, (sums[p.node] / max(1, seen)).numpy()) for p in places if p.node in sums]


def with_gradients(
    graph: fx.GraphModule,
    places: Sequence[Place],
    inputs: Inputs,
    generator: torch.Generator,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """By place its value, and the gradient there of the outputs along random directions.

    Channels are on axis 1 of both.

    Raises:
        NetworkError: no output has a gradient.
    """
    values: dict[fx.Node, torch.Tensor] = {}

    def watch(node: fx.Node) -> Callable[[torch.Tensor], None]:
        return lambda value: values.update({node: value})

    outputs = Observer(graph, {place.node: watch(place.node) for place in places}).run(*inputs)
    at = [values[place.node] for place in places]
    # A place may lead to outputs that are no floats: no gradient, which counts as zero.
    found = torch.autograd.grad(along_directions(outputs, generator), at, allow_unused=True)
    return [
        (p.channels(z.detach()), p.channels(torch.zeros_like(z) if g is None else g))
        for p, z, g in zip(places, at, found, strict=True)
    ]


def along_directions(outputs: Any, generator: torch.Generator) -> torch.Tensor:
    """The outputs along random directions, as one number to differentiate.

    A direction is normal and drawn for each image and each output, so the mean square of a
    gradient is that of all outputs together. Outputs that are no floats, or hang on no weight, are
    left out.

    Raises:
        NetworkError: no output has a gradient.
    """
    sloping = [leaf for leaf in leaves_of(outputs) if leaf.requires_grad]
    if not sloping:
        raise NetworkError(
            "no output of the network has a gradient",
            given=", ".join(str(leaf.dtype) for leaf in leaves_of(outputs)),
            possible="a float output that weights have a part in",
            next_step="take a criterion that looks at weights alone, such as l1",
        )
    return torch.stack(
        [(leaf * torch.randn(leaf.shape, generator=generator)).sum() for leaf in sloping]
    ).sum()


def by_channel_means(
    subject: Subject, statistic: Statistic, images: int, *, relative: bool
) -> GroupScores:
    """Channel means added up over the places of each group; see `GroupScores.add`."""
    sums = GroupScores(subject.plan)
    for place, values in channel_means(subject, statistic, images):
        sums.add(place.spans, values, relative=relative)
    return sums
