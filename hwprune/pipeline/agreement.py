"""Whether every form of the delivered network gives the same outputs, and what boards score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from hwprune.errors import DeliveryError
from hwprune.pipeline.board_form import Arrays, BoardForm, board_form
from hwprune.pipeline.workbench import Workbench
from hwprune.report.agreement import Agreement, BoardAgreement, tolerance_of
from hwprune_device.output_structure import arranged, leaves_of, recorded_structure

if TYPE_CHECKING:
    from torch import nn

TESTED_ITEMS = 1000
"""Test items that a board is given in a precision of its own, at most."""


def board_forms(bench: Workbench, model: bytes) -> dict[str, BoardForm]:
    """The delivered network as each kind of board is given it."""
    targets = bench.prepared.targets
    return {kind: board_form(model, t, bench.prepared.task) for kind, t in targets.items()}


def agree(bench: Workbench, model: bytes, forms: Mapping[str, BoardForm]) -> Agreement:
    """Compare the reloaded package, the ONNX file run in torch, and the boards, on real inputs.

    Raises:
        DeliveryError: they do not agree.
    """
    from hwprune.network.graph_module import to_module
    from hwprune.network.package import load_package

    wished = bench.prepared.deployment.tolerance
    # From the disk: what has to agree is what a user will load.
    package = load_package(bench.folder.path).eval()
    boards = []
    for kind, form in forms.items():
        # A latency table runs no network.
        if kind in bench.prepared.tabled:
            continue
        precision = bench.prepared.targets[kind].precision
        outputs = bench.fleet.farms[kind].run_network(form.model, form.inputs)
        boards.append(
            BoardAgreement(
                kind=kind,
                precision=precision,
                error=_difference(_outputs(package, form.inputs), outputs),
                tolerance=tolerance_of(precision) if wished is None else wished,
            )
        )
    inputs = next(iter(forms.values())).inputs
    onnx_error = _difference(_outputs(package, inputs), _outputs(to_module(model).eval(), inputs))
    agreement = Agreement(
        onnx_error=onnx_error,
        board_error=max((board.error for board in boards), default=0.0),
        tolerance=tolerance_of("fp32") if wished is None else wished,
        boards=tuple(boards),
    )
    if not agreement.holds:
        raise _disagreement(agreement)
    return agreement


def with_scores(
    bench: Workbench, model: bytes, forms: Mapping[str, BoardForm], agreement: Agreement
) -> Agreement:
    """The agreement with what boards score whose precision is not that of torch.

    On the first items of the test part, which nothing was chosen by; kept with the run.
    """
    boards = []
    for board in agreement.boards:
        if board.precision != "fp32":
            step = f"test score in {board.precision} on {board.kind}"
            told = bench.folder.step(step, dict[str, float]) or bench.folder.finish(
                step, _scores(bench, board.kind, model, forms[board.kind])
            )
            board = replace(board, **told)
        boards.append(board)
    return replace(agreement, boards=tuple(boards))


def _scores(bench: Workbench, kind: str, model: bytes, form: BoardForm) -> dict[str, float]:
    from hwprune.network.execution import EXACT
    from hwprune.network.graph_module import to_module
    from hwprune.task.scoring import score_of, takes_share

    task = bench.prepared.task
    module = EXACT.run(EXACT.place(to_module(model)))
    # Only the whole score tells how many items the part has.
    whole = score_of(task, module, "test")
    share = 1.0
    if whole.items is not None and takes_share(task.score):
        share = min(1.0, TESTED_ITEMS / len(whole.items))
    exact = whole if share == 1.0 else score_of(task, module, "test", share)
    run = board_run(
        bench, kind, form.model, recorded_structure(onnx.load_model_from_string(model))
    )
    own = score_of(task, run, "test", share)
    return {"score": own.value, "score_fp32": exact.value, "share": share}


def board_run(bench: Workbench, kind: str, model: bytes, structure: Any) -> Callable[..., Any]:
    """A network on a board, called as a task's score function calls a module.

    Args:
        structure: how its outputs are arranged, see `output_structure`.
    """
    import torch

    def run(*inputs: Any) -> Any:
        arrays = tuple(np.asarray(values) for values in inputs)
        outputs = bench.fleet.farms[kind].run_network(model, arrays)
        return arranged([torch.from_numpy(np.array(array)) for array in outputs], structure)

    return run


def _outputs(module: nn.Module, inputs: Arrays) -> list[np.ndarray]:
    """Outputs (N …) in torch."""
    import torch

    with torch.inference_mode():
        outputs = module(*(torch.from_numpy(values) for values in inputs))
    return [np.asarray(values.numpy()) for values in leaves_of(outputs)]


def _difference(reference: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    """Largest difference of any output, relative to the largest value of that output."""
    if [one.shape for one in reference] != [one.shape for one in other]:
        return float("inf")
    # 1e-12 stands for an output that is 0 everywhere.
    return max(
        float(np.abs(one - two).max(initial=0.0) / max(np.abs(one).max(initial=0.0), 1e-12))
        for one, two in zip(reference, other, strict=True)
    )


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
