"""Networks that are no image classifiers of a known family: what engineers also bring."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class UNet(nn.Module):
    """Skips by concat, transposed convolutions upwards."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.middle = _block(3, 8), _block(8, 12), _block(12, 16)
        self.up2, self.up1 = nn.ConvTranspose2d(16, 10, 2, 2), nn.ConvTranspose2d(12, 6, 2, 2)
        self.join2, self.join1 = _block(22, 12), _block(14, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.down1(x)
        second = self.down2(F.max_pool2d(first, 2))
        deep = self.middle(F.max_pool2d(second, 2))
        joined = self.join2(torch.cat([self.up2(deep), second], 1))
        return self.head(self.join1(torch.cat([self.up1(joined), first], 1)))


def _block(inside: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.LeakyReLU(0.1)
    )


class Mlp(nn.Module):
    """Linear layers only."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 24), nn.Sigmoid(), nn.Linear(24, 5))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Waves(nn.Module):
    """1-D convolutions, one of them depthwise, and a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, 16, 5, stride=2)
        self.depthwise = nn.Conv1d(16, 16, 3, padding=1, groups=16)
        self.norm = nn.BatchNorm1d(16)
        self.gated = nn.Conv1d(16, 24, 3, padding=1)
        self.upwards = nn.ConvTranspose1d(12, 12, 2, stride=2, groups=12)
        self.last = nn.Conv1d(12, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.depthwise(F.relu(self.first(x)))))
        return self.last(self.upwards(F.glu(self.gated(x), 1)))


class Encoder(nn.Module):
    """A BERT-style encoder: embeddings, attention of several heads, GELU, post-norm, pooler."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(40, 32), nn.Embedding(10, 32)
        self.norm = nn.LayerNorm(32)
        self.blocks = nn.ModuleList(_EncoderBlock() for _ in range(2))
        self.pooler, self.classifier = nn.Linear(32, 32), nn.Linear(32, 3)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        places = torch.arange(words.shape[1], device=words.device)
        x = self.norm(self.words(words) + self.places(places))
        for block in self.blocks:
            x = block(x)
        return self.classifier(torch.tanh(self.pooler(x[:, 0])))


class _EncoderBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(32, 32) for _ in range(3))
        self.out, self.wide, self.narrow = nn.Linear(32, 32), nn.Linear(32, 64), nn.Linear(64, 32)
        self.norm1, self.norm2 = nn.LayerNorm(32), nn.LayerNorm(32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        q, k, v = (
            layer(x).view(batch, length, 4, 8).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        weights = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1)
        seen = (weights @ v).transpose(1, 2).reshape(batch, length, 32)
        x = self.norm1(x + self.out(seen))
        return self.norm2(x + self.narrow(F.gelu(self.wide(x))))


class TorchEncoder(nn.Module):
    """torch's own transformer layer, whose projection of queries, keys and values is packed."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(6, 24)
        self.layer = nn.TransformerEncoderLayer(24, 3, 48, activation="gelu", batch_first=True)
        self.head = nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(self.into(x)).mean(1))


class Shuffled(nn.Module):
    """Channel split and shuffle between grouped convolutions, with squeeze-and-excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 24, 3, padding=1)
        self.grouped = nn.Conv2d(24, 24, 3, padding=1, groups=3)
        self.shuffle = nn.ChannelShuffle(3)
        self.again = nn.Conv2d(24, 16, 1)
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.side = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.last = nn.Conv2d(16, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.again(self.shuffle(F.relu(self.grouped(F.relu(self.first(x)))))))
        x = x * torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        left, right = x.chunk(2, 1)
        return self.last(torch.cat([left, F.hardswish(self.side(right))], 1))


class Tied(nn.Module):
    """One convolution used twice, and two layers that share a weight but not a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1)
        self.left, self.right = nn.Conv2d(12, 8, 1), nn.Conv2d(12, 8, 1)
        self.right.weight = self.left.weight
        self.words, self.last = nn.Linear(8, 6), nn.Linear(6, 8, bias=False)
        self.last.weight = nn.Parameter(torch.randn(8, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.twice(F.relu(self.twice(F.relu(self.first(x)))))
        x = (F.relu(self.left(x)) + F.relu(self.right(x))).mean((2, 3))
        return self.last(self.words(x)) + F.linear(self.words(x), self.words.weight.t())


class TwoWays(nn.Module):
    """Two inputs, joined; two outputs of which one is an inner map."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.depth = _block(3, 10), _block(1, 6)
        # RegNet's layers have such names too.
        self.parts = nn.ModuleDict({"fuse-0": _block(16, 12)})
        self.inner = nn.Conv2d(12, 9, 1)
        self.head = nn.Linear(12, 4)

    def forward(self, image: torch.Tensor, depth: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.parts["fuse-0"](torch.cat([self.image(image), self.depth(depth)], 1))
        return {"class": self.head(x.mean((2, 3))), "map": torch.sigmoid(self.inner(x))}


class GroupNormed(nn.Module):
    """Group norm in groups of four channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.GroupNorm(4, 16)
        self.second, self.head = nn.Conv2d(16, 12, 3, stride=2), nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.second(F.relu(self.norm(self.first(x))))).mean((2, 3)))


class SuperResolution(nn.Module):
    """Depth to space at the end, resized input added."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.slope = nn.PReLU(16)
        self.wide, self.last = nn.Conv2d(16, 32, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(self.slope(self.first(x)))
        y = self.last(F.pixel_shuffle(self.wide(y), 2))
        return y + F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


IMAGE = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Spoken(nn.Module):
    """Recurrent layers, one in both directions, over what a convolution hears."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, 8, 3, padding=1)
        self.heard = nn.LSTM(8, 12, batch_first=True, bidirectional=True)
        self.between = nn.Linear(24, 14)
        self.understood = nn.GRU(14, 10, batch_first=True)
        self.last = nn.Linear(10, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.heard(F.relu(self.first(x)).transpose(1, 2))
        ends, _ = self.understood(F.relu(self.between(states)))
        return self.last(ends[:, -1])


UNUSUAL: dict[str, tuple[type[nn.Module], tuple[torch.Tensor, ...]]] = {
    "unet": (UNet, (IMAGE,)),
    "mlp": (Mlp, (IMAGE[:, 0, 0, :].repeat(1, 2)[:, :20],)),
    "waves": (Waves, (IMAGE[:, :2].flatten(2)[:, :, :64],)),
    "encoder": (Encoder, (torch.arange(20).reshape(2, 10) % 40,)),
    "torch encoder": (TorchEncoder, (IMAGE[:, 0, :8, :6],)),
    "shuffled": (Shuffled, (IMAGE,)),
    "tied": (Tied, (IMAGE,)),
    "two ways": (TwoWays, (IMAGE, IMAGE[:, :1])),
    "group norm": (GroupNormed, (IMAGE,)),
    "super-resolution": (SuperResolution, (IMAGE,)),
    "spoken": (Spoken, (IMAGE[:, :2].flatten(2)[:, :, :9],)),
}
