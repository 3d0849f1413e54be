"""Blood cells: red cells, white cells and platelets found in microscope images, by mAP50."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from boxes import CLASS_WEIGHT, CLASSES, COLUMNS, ROWS, Targets, boxes_of, decode
from images import batches, boxes_in, inputs
from torchvision import ops

from hwprune import Metric, NetworkError, Part, Run, Score, Task, count_of

BOX_WEIGHT = 2.0


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


def loss(outputs: Any, targets: Targets) -> torch.Tensor:
    """Focal loss on the heat maps (Zhou et al. 2019) and generalised IoU of the boxes."""
    heat, distances = outputs[0].float(), outputs[1]
    wanted, boxes, weight = targets
    centre, sure = wanted == 1, torch.sigmoid(heat)
    missed = (1 - sure) ** 2 * F.logsigmoid(heat) * centre
    # The fourth power spares cells beside a centre, which are nearly right.
    wrong = sure**2 * F.logsigmoid(-heat) * (1 - wanted) ** 4
    by_class = (missed + wrong).sum((0, 2, 3)) @ torch.tensor(CLASS_WEIGHT, device=heat.device)
    inside = weight > 0
    given, due = (corners.movedim(1, -1)[inside] for corners in (boxes_of(distances), boxes))
    apart = ops.generalized_box_iou_loss(given, due) @ weight[inside]
    return BOX_WEIGHT * apart / weight.sum().clamp_min(1e-6) - by_class / centre.sum().clamp_min(1)


def score(run: Run, part: Part, share: float) -> Score:
    """mAP50 and AP50 of each class; on the last parts COCO's mAP too; AP50 by image."""
    from torchmetrics.detection import MeanAveragePrecision

    boxes = boxes_in(part)
    boxes = boxes[: count_of(share, len(boxes))]
    found = [one for images in inputs(part, len(boxes)) for one in decode(run(images))]
    truth = [{"boxes": one[:, :4], "labels": one[:, 4].long()} for one in boxes]
    measure = MeanAveragePrecision(iou_thresholds=[0.5], class_metrics=True)
    measure.update(found, truth)
    figures = measure.compute()
    labels, values = figures["classes"].view(-1), figures["map_per_class"].view(-1)
    others = {f"AP50 {CLASSES[k]}": float(v) for k, v in zip(labels, values, strict=True)}
    # Ten thresholds instead of one: too slow for every candidate of a search.
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
                # That true box is taken, so a second find of it is a miss.
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
