"""Whether every form of the delivered network gives the same outputs, and how right boards are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hwprune.errors import DeliveryError
from hwprune.pipeline.board_form import BoardForm, board_form
from hwprune.pipeline.workbench import Workbench
from hwprune.report.agreement import Agreement, BoardAgreement, tolerance_of
from hwprune_device.output_structure import leaves_of

if TYPE_CHECKING:
    from torch import nn

TESTED_IMAGES = 1000
"""Test images that a board classifies in a precision of its own, at most."""
_SENT_BYTES = 64 << 20
"""Of images in one request."""


def board_forms(bench: Workbench, model: bytes) -> dict[str, BoardForm]:
    """The delivered network as each kind of board is given it."""
    targets = bench.prepared.targets
    return {kind: board_form(model, t, bench.prepared.data) for kind, t in targets.items()}


def agree(bench: Workbench, model: bytes, forms: Mapping[str, BoardForm]) -> Agreement:
    """Compare the reloaded package, the ONNX file run in torch, and the boards, on real images.

    Raises:
        DeliveryError: they do not agree.
    """
    from hwprune.network.graph_module import to_module
    from hwprune.network.package import load_package

    wished = bench.prepared.deployment.tolerance
    package = load_package(bench.folder.path).eval()
    boards = []
    for kind, form in forms.items():
        precision = bench.prepared.targets[kind].precision
        output = bench.fleet.farms[kind].agree(form.model, form.inputs)
        boards.append(
            BoardAgreement(
                kind=kind,
                precision=precision,
                error=_difference(_outputs(package, form.inputs), output),
                tolerance=tolerance_of(precision) if wished is None else wished,
            )
        )
    inputs = next(iter(forms.values())).inputs
    onnx_error = _difference(_outputs(package, inputs), _outputs(to_module(model).eval(), inputs))
    agreement = Agreement(
        onnx_error=onnx_error,
        board_error=max(board.error for board in boards),
        tolerance=tolerance_of("fp32") if wished is None else wished,
        boards=tuple(boards),
    )
    if not agreement.holds:
        raise _disagreement(agreement)
    return agreement


def with_accuracy(
    bench: Workbench, model: bytes, forms: Mapping[str, BoardForm], agreement: Agreement
) -> Agreement:
    """The agreement with how right boards are whose precision is not that of torch.

    On the first images of the test set, which nothing was chosen by; kept with the run.
    """
    boards = []
    for board in agreement.boards:
        if board.precision != "fp32":
            step = f"test accuracy in {board.precision} on {board.kind}"
            told = bench.folder.step(step) or bench.folder.finish(
                step, _accuracies(bench, board.kind, model, forms[board.kind])
            )
            board = replace(board, **told)
        boards.append(board)
    return replace(agreement, boards=tuple(boards))


def _accuracies(
    bench: Workbench, kind: str, model: bytes, form: BoardForm
) -> dict[str, float | int]:
    from hwprune.network.graph_module import to_module

    data, farm = bench.prepared.data, bench.fleet.farms[kind]
    images = data.inputs("test", TESTED_IMAGES).numpy()
    labels = data.part("test").labels[:TESTED_IMAGES].numpy()
    module = to_module(model).eval()
    each = max(1, _SENT_BYTES // images[0].nbytes)
    right = fp32 = 0
    for at in range(0, len(images), each):
        part, wanted = images[at : at + each], labels[at : at + each]
        right += int((farm.agree(form.model, part).argmax(1) == wanted).sum())
        fp32 += int((_outputs(module, part).argmax(1) == wanted).sum())
    count = len(images)
    return {"accuracy": right / count, "accuracy_fp32": fp32 / count, "images": count}


def _outputs(module: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """First output (N …) in torch."""
    import torch

    with torch.inference_mode():
        return np.asarray(leaves_of(module(torch.from_numpy(inputs)))[0].numpy())


def _difference(reference: np.ndarray, other: np.ndarray) -> float:
    """Largest difference, relative to the largest output."""
    if reference.shape != other.shape:
        return float("inf")
    return float(np.abs(reference - other).max() / max(np.abs(reference).max(), 1e-12))


def _disagreement(agreement: Agreement) -> DeliveryError:
    said = [f"ONNX {agreement.onnx_error:.2e} of {agreement.tolerance:g}"]
    said += [
        f"board {board.kind} in {board.precision} {board.error:.2e} of {board.tolerance:g}"
        for board in agreement.boards
    ]
    return DeliveryError(
        "the delivered network does not give the same outputs everywhere",
        given="relative difference to torch, and the tolerance: " + ", ".join(said),
        possible="delivery.tolerance, one for all; left out: as each board's precision allows",
        next_step="a wider tolerance if a lower precision explains it; else report it",
    )
