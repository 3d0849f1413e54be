"""Networks and data that are no image classification, as their users write them."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

ITEMS = 160


def _body(channels: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3, padding=1),
        nn.BatchNorm2d(24),
        nn.ReLU(),
    )


class Pooled(nn.Module):
    """A body, and numbers out of its mean."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = _body()
        self.head = nn.Linear(24, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(images).mean((2, 3)))


class Several(Pooled):
    """The same with a dictionary of outputs."""

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.body(images)
        return {"scores": self.head(features.mean((2, 3))), "map": features.sum(1)}


class Pair(Pooled):
    """The same with a tuple of outputs."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.body(images)
        return self.head(features.mean((2, 3))), features[:, :1]


def _images() -> torch.Tensor:
    return torch.rand(ITEMS, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def _halves(inputs: torch.Tensor, targets: torch.Tensor) -> tuple:
    return (inputs[:-40], targets[:-40]), (inputs[-40:], targets[-40:])


def segmenter() -> nn.Module:
    return nn.Sequential(*_body(), nn.Conv2d(24, 3, 1))


def masks() -> tuple:
    images = _images()
    return _halves(images, images.argmax(1))


def keypoints_net() -> nn.Module:
    return Pooled(4)


def keypoints() -> tuple:
    images = _images()
    return _halves(images, torch.stack([images.mean((1, 2, 3))] * 4, 1))


def scalar_net() -> nn.Module:
    return Pooled(1)


def scalars() -> tuple:
    images = _images()
    return _halves(images, images.mean((1, 2, 3)))


def labels_net() -> nn.Module:
    return Pooled(3)


def labels() -> tuple:
    images = _images()
    return _halves(images, (images.mean((2, 3)) > 0.5).long())


def audio_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, 16, 9, stride=4),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Conv1d(16, 24, 9, stride=4),
        nn.BatchNorm1d(24),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(24, 4),
    )


def audio() -> tuple:
    sounds = torch.randn(ITEMS, 1, 1600, generator=torch.Generator().manual_seed(0))
    sets = [TensorDataset(*half) for half in _halves(sounds, torch.arange(ITEMS) % 4)]
    return sets[0], sets[1]


class Boxes(Dataset):
    """Images with any number of boxes."""

    def __init__(self, count: int) -> None:
        self.images = _images()[:count]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        count = 1 + index % 3
        boxes = torch.rand(count, 4, generator=torch.Generator().manual_seed(index))
        return self.images[index], {"boxes": boxes, "labels": torch.ones(count, dtype=torch.int64)}


def boxes() -> tuple:
    return Boxes(120), Boxes(40)


def boxes_net() -> nn.Module:
    return Pooled(4)


def boxes_loss(outputs: torch.Tensor, targets: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    wanted = torch.stack([target["boxes"].mean(0) for target in targets])
    return (outputs.float() - wanted).square().mean()


def boxes_score(run, part: str) -> dict[str, float]:
    items = Boxes(40)
    images = torch.stack([items[i][0] for i in range(40)])
    error = boxes_loss(run(images), [items[i][1] for i in range(40)])
    return {"box error": float(error), "items": 40.0}


def three_classes_net() -> nn.Module:
    return Pooled(3)


def dict_net() -> nn.Module:
    return Several(3)


def tuple_net() -> nn.Module:
    return Pair(3)


def three_classes() -> tuple:
    images = _images()
    return _halves(images, images.mean((2, 3)).argmax(1))


def dict_loss(outputs: dict[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs["scores"].float(), targets)


def dict_score(run) -> float:
    (_, _), (images, wanted) = three_classes()
    return float((run(images)["scores"].argmax(1) == wanted).float().mean())


def tuple_loss(outputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs[0].float(), targets)


def tuple_score(run) -> float:
    (_, _), (images, wanted) = three_classes()
    return float((run(images)[0].argmax(1) == wanted).float().mean())


def train_by_hand(module: nn.Module, teacher: nn.Module) -> None:
    """A training loop of the user's own: any structure of outputs, towards the teacher's."""
    from torch.utils._pytree import tree_leaves

    optimizer = torch.optim.Adam(module.parameters(), 1e-3)
    module.train()
    for _ in range(2):
        images = _images()[:64]
        with torch.no_grad():
            wanted = tree_leaves(teacher(images))
        pairs = zip(tree_leaves(module(images)), wanted, strict=True)
        loss = sum((one - other).square().mean() for one, other in pairs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
