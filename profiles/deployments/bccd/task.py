"""Blood cells: red cells, white cells and platelets found in microscope images, by mAP50."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import ops

from hwprune import Metric, Score, Task
from hwprune.errors import DataError, NetworkError
from hwprune.task.items import count_of
from hwprune.task.task import Part, Run

CLASSES = ("RBC", "WBC", "Platelets")
HEIGHT, WIDTH, STRIDE = 120, 160, 4
ROWS, COLUMNS = HEIGHT // STRIDE, WIDTH // STRIDE
SOURCE = {"train": "train", "calibration": "train", "heldout": "val", "final": "val"}
"""The data's own split behind each part; `test` is `test`."""
MEAN, SPREAD = 180.0, 50.0

ZOOM = (0.8, 1.25)
VISIBLE = 0.4
"""What of a box must be left in an augmented image for it to be looked for."""
SIGMA = 0.2
"""Of the bump that a box leaves in its heat map, in box sides; 0.1 and 0.15 gave a little less
held-out mAP50 (0.867 and 0.870 against 0.874)."""
BOX_WEIGHT = 2.0
CLASS_WEIGHT = (1.0, 2.0, 4.0)
"""Of 100 boxes 85 are red cells, but the metric is the mean over classes."""
LEAST_SCORE, MOST_BOXES, OVERLAP = 0.05, 60, 0.6

Targets = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Heat maps N classes ROWS COLUMNS; for each cell the box to give, N 4 ROWS COLUMNS, and how much
it counts, N ROWS COLUMNS."""


def task() -> Task:
    """Detection for a network of raw heat maps and box distances, see network.py."""
    return Task(
        name="bccd",
        score=score,
        inputs=inputs,
        metric=Metric(name="mAP50"),
        loss=loss,
        batches=batches,
        check=check,
        output_kinds=("values", "values"),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """One split, decoded."""

    pixels: torch.Tensor
    """N 3 2*HEIGHT 2*WIDTH uint8: twice the network's size, so that zooming in shows more."""
    boxes: tuple[torch.Tensor, ...]
    """Of each image, [M, 5]: x0 y0 x1 y1 in pixels of the network's input, and the class."""


@lru_cache
def read(split: str) -> Images:
    """The split `train`, `val` or `test`; kept in memory.

    Raises:
        DataError: the data is not there.
    """
    folder = _folder()
    known = json.loads((folder / "boxes.json").read_text())
    names = known["splits"][split]
    pixels = np.stack([_decoded(folder / "images" / f"{name}.jpg") for name in names])
    boxes = [torch.tensor(known["boxes"][name], dtype=torch.float32) for name in names]
    scale = torch.tensor([0.25, 0.25, 0.25, 0.25, 1.0])  # images are 640 x 480
    return Images(
        pixels=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        boxes=tuple(one.view(-1, 5) * scale for one in boxes),
    )


def _folder() -> Path:
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    for place in filter(None, (os.environ.get("HWPRUNE_DATA", ""), str(beside))):
        if (Path(place) / "bccd" / "boxes.json").is_file():
            return Path(place) / "bccd"
    raise DataError(
        "the blood cell images are not there",
        given=f"HWPRUNE_DATA={os.environ.get('HWPRUNE_DATA', '')}",
        possible="a folder with bccd/boxes.json and bccd/images/",
        next_step="get github.com/Shenggan/BCCD_Dataset, lay it out as README.md beside this "
        "task says, and set HWPRUNE_DATA to the folder above bccd/",
    )


def _decoded(file: Path) -> np.ndarray:
    image = Image.open(file).convert("RGB")
    return np.asarray(image.resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BOX))


@lru_cache
def _plain(split: str) -> torch.Tensor:
    """A split as the network takes it: N 3 HEIGHT WIDTH."""
    return torch.cat([F.avg_pool2d(_normalised(some), 2) for some in read(split).pixels.split(32)])


def _normalised(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels.float() - MEAN) / SPREAD


def inputs(part: Part, count: int) -> Iterable[torch.Tensor]:
    """The first `count` images of a part: N 3 HEIGHT WIDTH, 32 at a time."""
    return _plain(SOURCE.get(part, part))[:count].split(32)


def batches(part: Part, size: int) -> DataLoader[Any]:
    """Images and targets: of `train` shuffled and augmented, of other parts as they are."""
    split, training = SOURCE.get(part, part), part == "train"
    data = read(split)

    def collate(indices: Sequence[int]) -> tuple[torch.Tensor, Targets]:
        chosen, boxes = torch.tensor(indices), [data.boxes[index] for index in indices]
        if not training:
            return _plain(split)[chosen], targets_of(boxes)
        images, boxes = augmented(data.pixels[chosen], boxes)
        return images, targets_of(boxes)

    numbers: Any = range(len(data.boxes))
    return DataLoader(
        numbers,
        batch_size=min(size, len(numbers)),
        shuffle=training,
        drop_last=training,
        collate_fn=collate,
    )


def augmented(
    pixels: torch.Tensor, boxes: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Images flipped, zoomed, moved and coloured at random: N 3 HEIGHT WIDTH, and their boxes."""
    count = len(pixels)
    zoom = torch.empty(count, 1).uniform_(math.log(ZOOM[0]), math.log(ZOOM[1])).exp()
    flip = torch.randint(0, 2, (count, 2)) * 2.0 - 1
    shift = torch.empty(count, 2).uniform_(-1, 1) * (1 - zoom).abs()
    # Coordinates run from -1 to 1 over either image: seen = factor * given + shift.
    factor = flip * zoom
    places = torch.zeros(count, 2, 3)
    places[:, 0, 0], places[:, 1, 1] = factor.T
    places[:, :, 2] = shift
    grid = F.affine_grid(places, [count, 3, HEIGHT, WIDTH], align_corners=False)
    images = F.grid_sample(_normalised(pixels), grid, align_corners=False)
    images *= torch.empty(count, 3, 1, 1).uniform_(0.9, 1.1)
    images *= torch.empty(count, 1, 1, 1).uniform_(0.8, 1.2)
    images += torch.empty(count, 3, 1, 1).uniform_(-0.2, 0.2)
    images += torch.empty(count, 1, 1, 1).uniform_(-0.3, 0.3)
    moved = [_moved(*one) for one in zip(boxes, factor, shift, strict=True)]
    return images, moved


def _moved(boxes: torch.Tensor, factor: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    half = torch.tensor([WIDTH / 2, HEIGHT / 2])
    corners = ((boxes[:, :4].view(-1, 2, 2) / half - 1 - shift) / factor + 1) * half
    whole = torch.cat([corners.amin(1), corners.amax(1)], 1)
    seen = ops.clip_boxes_to_image(whole, (HEIGHT, WIDTH))
    kept = ops.box_area(seen) > VISIBLE * ops.box_area(whole)
    return torch.cat([seen, boxes[:, 4:]], 1)[kept]


def _cells() -> torch.Tensor:
    """Centres x y of all cells in pixels: [ROWS * COLUMNS, 2]."""
    rows, columns = torch.meshgrid(torch.arange(ROWS), torch.arange(COLUMNS), indexing="ij")
    return (torch.stack([columns, rows], -1).view(-1, 2) + 0.5) * STRIDE


def targets_of(boxes: Sequence[torch.Tensor]) -> Targets:
    """What the loss holds outputs against, for a batch of images.

    A box is a Gaussian bump of height 1 in the cell of its centre (Zhou et al. 2019), and cells
    of a bump give the box itself (Liu et al. 2020); a cell belongs to the box it is nearest to.
    """
    heat = torch.zeros(len(boxes), len(CLASSES), ROWS * COLUMNS)
    given = torch.zeros(len(boxes), 4, ROWS * COLUMNS)
    weight = torch.zeros(len(boxes), ROWS * COLUMNS)
    cells = _cells()
    for number, some in enumerate(boxes):
        if not len(some):
            continue
        corners, kinds = some[:, :4], some[:, 4].long()
        middle = (corners[:, :2] + corners[:, 2:]) / 2
        middle = ((middle / STRIDE).floor() + 0.5) * STRIDE
        sigma = (corners[:, 2:] - corners[:, :2]) * SIGMA
        bumps = torch.exp(-(((cells - middle[:, None]) / sigma[:, None]) ** 2).sum(-1) / 2)
        bumps[bumps < 0.01] = 0
        heat[number].scatter_reduce_(0, kinds[:, None].expand_as(bumps), bumps, "amax")
        owner = bumps.argmax(0)
        given[number] = corners[owner].T
        own = F.one_hot(owner, len(some)).T * bumps
        # All boxes of a class count alike, however many cells they have.
        own *= (torch.tensor(CLASS_WEIGHT)[kinds] / own.sum(1).clamp_min(1e-6))[:, None]
        weight[number] = own.sum(0)
    grid = (ROWS, COLUMNS)
    return heat.unflatten(2, grid), given.unflatten(2, grid), weight.unflatten(1, grid)


def boxes_of(distances: torch.Tensor) -> torch.Tensor:
    """Raw distances N 4 ROWS COLUMNS to x0 y0 x1 y1 in pixels: each side 8 pixels times exp."""
    centre = _cells().T.view(1, 2, ROWS, COLUMNS).to(distances.device)
    sides = 2 * STRIDE * torch.exp(distances.float().clamp(-6, 4))
    return torch.cat([centre - sides[:, :2], centre + sides[:, 2:]], 1)


def loss(outputs: Any, targets: Targets) -> torch.Tensor:
    """Focal loss on the heat maps (Zhou et al. 2019) and generalised IoU of the boxes."""
    heat, distances = outputs[0].float(), outputs[1]
    wanted, boxes, weight = targets
    centre, sure = wanted == 1, torch.sigmoid(heat)
    missed = (1 - sure) ** 2 * F.logsigmoid(heat) * centre
    wrong = sure**2 * F.logsigmoid(-heat) * (1 - wanted) ** 4
    by_class = (missed + wrong).sum((0, 2, 3)) @ torch.tensor(CLASS_WEIGHT, device=heat.device)
    inside = weight > 0
    given, due = (corners.movedim(1, -1)[inside] for corners in (boxes_of(distances), boxes))
    apart = ops.generalized_box_iou_loss(given, due) @ weight[inside]
    return BOX_WEIGHT * apart / weight.sum().clamp_min(1e-6) - by_class / centre.sum().clamp_min(1)


def decode(outputs: Any) -> list[dict[str, torch.Tensor]]:
    """Boxes, scores and labels of each image, best first: peaks of the heat maps, less doubles."""
    heat, corners = torch.sigmoid(outputs[0]), boxes_of(outputs[1])
    heat = heat * (heat == F.max_pool2d(heat, 3, 1, 1))
    found = []
    for scores, boxes in zip(heat.flatten(1), corners.flatten(2), strict=True):
        best, places = scores.topk(2 * MOST_BOXES)
        best, places = best[best > LEAST_SCORE], places[best > LEAST_SCORE]
        labels, cells = places // (ROWS * COLUMNS), places % (ROWS * COLUMNS)
        sides = ops.clip_boxes_to_image(boxes[:, cells].T, (HEIGHT, WIDTH))
        kept = ops.batched_nms(sides, best, labels, OVERLAP)[:MOST_BOXES]
        found.append({"boxes": sides[kept], "scores": best[kept], "labels": labels[kept]})
    return found


def score(run: Run, part: Part, share: float) -> Score:
    """mAP50 and AP50 of each class; on the last parts COCO's mAP too; AP50 by image."""
    from torchmetrics.detection import MeanAveragePrecision

    boxes = read(SOURCE.get(part, part)).boxes
    boxes = boxes[: count_of(share, len(boxes))]
    found = [one for images in inputs(part, len(boxes)) for one in decode(run(images))]
    truth = [{"boxes": one[:, :4], "labels": one[:, 4].long()} for one in boxes]
    measure = MeanAveragePrecision(iou_thresholds=[0.5], class_metrics=True)
    measure.update(found, truth)
    figures = measure.compute()
    labels, values = figures["classes"].view(-1), figures["map_per_class"].view(-1)
    others = {f"AP50 {CLASSES[k]}": float(v) for k, v in zip(labels, values, strict=True)}
    if part in ("final", "test"):
        measure = MeanAveragePrecision()
        measure.update(found, truth)
        others["mAP"] = float(measure.compute()["map"])
    items = np.array([image_ap(*pair) for pair in zip(found, truth, strict=True)])
    return Score(value=float(figures["map"]), others=others, items=items)


def image_ap(found: dict[str, torch.Tensor], truth: dict[str, torch.Tensor]) -> float:
    """AP50 in one image alone, the mean over the classes that are in it; 1 where there are none.

    Found boxes come best first; each takes the free true box that it overlaps most.
    """
    precisions = []
    for kind in truth["labels"].unique():
        wanted = truth["boxes"][truth["labels"] == kind]
        given = found["boxes"][found["labels"] == kind]
        overlaps = ops.box_iou(given, wanted).numpy()
        hits = np.zeros(len(given), bool)
        for number, row in enumerate(overlaps):
            best = row.argmax()
            hits[number] = row[best] >= 0.5
            if hits[number]:
                overlaps[number + 1 :, best] = 0
        reached = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        reached = np.maximum.accumulate(reached[::-1])[::-1]
        precisions.append(reached[hits].sum() / len(wanted))
    return float(np.mean(precisions)) if precisions else 1.0


def check(outputs: Any) -> None:
    """Raise where outputs are not this task's heat maps and distances.

    Raises:
        NetworkError: another number of outputs, or other shapes.
    """
    shapes = [list(one.shape) for one in outputs] if isinstance(outputs, tuple | list) else []
    wanted = [[len(CLASSES), ROWS, COLUMNS], [4, ROWS, COLUMNS]]
    if [shape[1:] for shape in shapes] != wanted:
        raise NetworkError(
            "the network's outputs are not heat maps and box distances",
            given=f"shapes {shapes or type(outputs).__name__}",
            possible=f"two tensors N {wanted[0]} and N {wanted[1]}",
        )
