"""A network whose weights are masked, as the papers prune: nothing becomes smaller."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hwprune.channels.base import BaseNetwork
from hwprune.network.execution import lay_out
from hwprune.network.graph_module import to_module, to_onnx
from hwprune.saliency.output_axes import GroupScores, output_axes
from tests.benchmarks.papers.images import Images

BATCH, LR = 60, 3e-4
"""Of Adam, in every training of arXiv 2110.08558."""
KEPT = 0.5
"""A soft mask of so much or more counts as kept."""


class MaskedConv2d(nn.Conv2d):
    """A convolution whose weights are multiplied by a mask each time it runs."""

    mask: torch.Tensor

    @classmethod
    def over(cls, conv: nn.Conv2d) -> MaskedConv2d:
        """With the weights of another, which stay shared."""
        found = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            bias=conv.bias is not None,
            groups=conv.groups,
        )
        found.weight, found.bias = conv.weight, conv.bias
        found.register_buffer("mask", torch.ones_like(conv.weight), persistent=False)
        return found

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """N C H W -> N C' H' W'."""
        return self._conv_forward(input, self.weight * self.mask, self.bias)


class MaskedNetwork:
    """A trained network with a mask on each convolution, shortcuts apart."""

    def __init__(self, base: BaseNetwork, images: Images) -> None:
        self.base, self._images = base, images
        self.module = to_module(base.onnx)
        self.convs: list[MaskedConv2d] = []
        for path, layer in list(self.module.named_modules()):
            if isinstance(layer, nn.Conv2d) and "shortcut" not in path:
                self.convs.append(MaskedConv2d.over(layer))
                self.module.set_submodule(path, self.convs[-1])
        lay_out(self.module.to(images.execution.device))
        self._trained = {k: v.clone() for k, v in self.module.state_dict().items()}
        self._optimizer = self.optimizer()

    def optimizer(self) -> torch.optim.Adam:
        """A new one, as the paper trains."""
        return torch.optim.Adam(self.module.parameters(), lr=LR)

    def reset(self) -> None:
        """The trained weights again, nothing masked."""
        self.module.load_state_dict(self._trained)
        for conv in self.convs:
            conv.mask.fill_(1.0)

    def reinitialise(self) -> None:
        """Fresh weights under the masks at hand, as the paper's own baseline begins."""
        for layer in self.module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                layer.reset_parameters()

    def prune_weights(self, shares: np.ndarray) -> None:
        """Mask that share of each convolution's weights, the smallest ones, wherever they lie."""
        for conv, share in zip(self.convs, shares, strict=True):
            sizes = conv.weight.detach().abs()
            gone = int(share * sizes.numel())
            # No sort: one convolution of VGG-16 has 2.4 million weights.
            largest_gone = sizes.flatten().kthvalue(gone).values if gone else -1.0
            conv.mask.copy_(sizes > largest_gone)

    def mask_filters(self, masks: np.ndarray) -> None:
        """A number for each filter, [convolutions, widest]; those too many are left over."""
        for conv, row in zip(self.convs, masks, strict=True):
            values = torch.as_tensor(row[: conv.out_channels], dtype=torch.float32)
            conv.mask.copy_(values.view(-1, 1, 1, 1).expand_as(conv.weight))

    def harden(self) -> None:
        """Soft masks become 0 or 1."""
        for conv in self.convs:
            conv.mask.copy_((conv.mask >= KEPT).float())

    @property
    def sparsity(self) -> float:
        """Share of the convolutions' own weights that counts as masked."""
        gone = sum(float((conv.mask < KEPT).sum()) for conv in self.convs)
        return gone / sum(conv.mask.numel() for conv in self.convs)

    def tune_in_episode(self, steps: int) -> None:
        """A few iterations before a reward; the optimizer's state outlives the episode.

        So it does in the paper's code.
        """
        if steps:
            self._images.fit(self.module, self._optimizer, steps, batch=BATCH)

    def reward(self, count: int) -> float:
        """Accuracy in percent on so many augmented training images."""
        return 100 * self._images.accuracy(self.module, self._images.augmented(count))

    def kept_units(self) -> list[np.ndarray]:
        """By group, the units that have a weight left in any layer that writes them.

        What residual connections tie goes only where every layer has masked it; one unit stays.
        """
        masked: dict[int, torch.Tensor] = {id(conv.weight): conv.mask for conv in self.convs}
        alive = GroupScores(self.base.plan)
        for axis in output_axes(self.module, self.base.plan):
            if axis.is_weight and not axis.is_norm:
                weight = axis.parameter.detach() * masked.get(id(axis.parameter), 1.0)
                left = axis.rows(weight).abs().amax(1) > 0
                alive.add(axis.spans, left.float().cpu().numpy(), relative=False)
        return [
            np.flatnonzero(scores) if scores.any() else np.array([0]) for scores in alive.scores
        ]

    def onnx(self) -> bytes:
        """The network at full size, masked weights being zeros."""
        with torch.no_grad():
            for conv in self.convs:
                conv.weight.mul_(conv.mask)
        return to_onnx(self.module, self.base.onnx)
