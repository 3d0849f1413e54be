"""Which number, read right after a cut, tells how good a network is after fine-tuning.

    python -m tests.benchmarks.bench_reward DEPLOYMENT.toml --out FILE.jsonl [--candidates 24]
        [--share 0.5] [--set section.key=value]
    python -m tests.benchmarks.bench_reward --read FILE.jsonl

Candidates of equal multiply-accumulates, over the whole range of scores after the cut, are
fine-tuned by the deployment's recipe and scored on the test part. Beside it stand the rewards,
with the seconds that each takes: score and imitation error after re-calibration; the same after 8,
16 and 48 steps of fine-tuning; after a least-squares refit of every convolution to the unpruned
network's features; and the error of features. A row of the file is a candidate, so a killed run
goes on. `--read` prints Spearman's rank correlation with the score after fine-tuning (mean of the
test and the finalists' part), with a 95 % bootstrap interval, and seconds.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from hwprune.candidate import Candidate
from hwprune.deployment import load_deployment
from hwprune.evaluation import failed
from hwprune.finetune.trainer import train
from hwprune.finetune.training import Training
from hwprune.futures import done
from hwprune.network.execution import EXACT
from hwprune.network.graph_module import to_module
from hwprune.network.recalibration import batches_of, recalibrate
from hwprune.pipeline.prepare import Prepared, prepare
from hwprune.pipeline.supplies import Given, look_up
from hwprune.progress import Silent
from hwprune.run_folder import RunFolder
from hwprune.search.problem import SearchProblem
from hwprune.search.random_search import scaled
from hwprune.task.agreement import imitation_loss
from hwprune.task.items import calibration_of, inputs_of
from hwprune.task.scoring import score_of
from hwprune_device.cut import Cutter, KeptIndices
from hwprune_device.reading import Failure
from tests.benchmarks.row_file import add_row, rows_in

STEPS = (8, 16, 48)
DRAWN = 6
"""Candidates that are drawn for each that is taken: evenly over their scores after the cut."""
ITEMS = 400
"""Held-out items that imitation errors are taken on."""
PATCHES = 40_000
"""Positions that a convolution is refitted on, at most."""
RIDGE = 1e-2


class Study:
    """Candidates of one prepared network, and what can be read of them."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        base = prepared.base
        self.cutter = Cutter(base.onnx, base.plan)
        self.teacher = EXACT.place(to_module(base.onnx)).eval()
        self.calibration = batches_of(calibration_of(prepared.task))
        inputs = batches_of(inputs_of(prepared.task, "heldout", ITEMS))
        self.heldout = inputs
        with torch.inference_mode():
            self.taught = [self.teacher(*batch) for batch in inputs]

    def keep(self, widths: Sequence[int]) -> list[np.ndarray]:
        order = self.prepared.ranking.order
        return [np.sort(u[:w]) for u, w in zip(order, widths, strict=True)]

    def cut(self, widths: Sequence[int]) -> nn.Module:
        """Cut and re-calibrated."""
        module = EXACT.place(to_module(self.cutter.cut(self.keep(widths))))
        recalibrate(module, self.calibration)
        return module.eval()

    def read(self, module: nn.Module) -> dict[str, float]:
        """Score on held-out items, and error of imitation."""
        module = copy.deepcopy(module).eval()
        kinds = self.prepared.task.output_kinds
        with torch.inference_mode():
            errors = [
                float(imitation_loss(module(*batch), taught, kinds, 1.0))
                for batch, taught in zip(self.heldout, self.taught, strict=True)
            ]
        found = score_of(self.prepared.task, EXACT.run(module), "heldout")
        return {"score": found.value, "imitation": -float(np.mean(errors))}

    def briefly(self, module: nn.Module, steps: int) -> nn.Module:
        """After so many steps of fine-tuning, re-calibrated."""
        module = copy.deepcopy(module)
        recipe = self.prepared.deployment.finetune
        teacher = copy.deepcopy(self.teacher)
        training = Training(
            module, self.prepared.task, recipe, folder=Path("/nowhere"), teacher=teacher
        )
        training.run_steps(steps)
        recalibrate(module, self.calibration)
        return module

    def features(self, module: nn.Module, widths: Sequence[int]) -> float:
        """Mean relative error of what convolutions put out, on the channels that stay."""
        kept = KeptIndices(self.keep(widths))
        rows = self._channels(kept)
        ours, theirs = (self._outputs(m, rows) for m in (module, self.teacher))
        errors = []
        for name, index in rows.items():
            wanted = theirs[name][:, index]
            error = (ours[name] - wanted).square().mean() / wanted.square().mean()
            errors.append(float(error))
        return -float(np.mean(errors))

    def refitted(self, module: nn.Module, widths: Sequence[int]) -> nn.Module:
        """Every convolution, in order, set to what best gives the unpruned network's outputs."""
        module = copy.deepcopy(module)
        rows = self._channels(KeptIndices(self.keep(widths)))
        theirs = self._outputs(self.teacher, rows)
        layers = dict(module.named_modules())
        for name, index in rows.items():
            layer = layers[name]
            assert isinstance(layer, nn.Conv2d)
            if layer.groups == 1:
                self._refit(module, name, layer, theirs[name][:, index])
        recalibrate(module, self.calibration)
        return module

    def _refit(self, module: nn.Module, name: str, layer: nn.Conv2d, wanted: torch.Tensor) -> None:
        given = self._inputs(module, name)
        unfolded = torch.nn.functional.unfold(
            given,
            layer.kernel_size,
            padding=layer.padding,
            stride=layer.stride,  # type: ignore[arg-type]
        )
        x = unfolded.transpose(1, 2).reshape(-1, unfolded.shape[1])
        y = wanted.flatten(2).transpose(1, 2).reshape(len(x), -1)
        some = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:PATCHES]
        x, y = x[some].double(), y[some].double()
        old = layer.weight.detach().flatten(1).double().T
        square = x.T @ x / len(x)
        ridge = RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=torch.double)
        # Pulled towards the weights that are there, not towards 0.
        new = old + torch.linalg.solve(square + ridge, x.T @ (y - x @ old) / len(x))
        layer.weight.data = new.T.reshape(layer.weight.shape).float()

    def _channels(self, kept: KeptIndices) -> dict[str, np.ndarray]:
        """By convolution, the output channels that stay."""
        convolutions = {n for n, m in self.teacher.named_modules() if isinstance(m, nn.Conv2d)}
        found = {}
        for axis_cut in self.prepared.base.plan.axes:
            name = axis_cut.initializer.removesuffix(".weight")
            if axis_cut.axis == 0 and name in convolutions:
                found[name] = np.asarray(kept.of(axis_cut.spans))
        return found

    def _outputs(self, module: nn.Module, names: dict[str, Any]) -> dict[str, torch.Tensor]:
        return self._watch(module, names, lambda _, __, out: out)

    def _inputs(self, module: nn.Module, name: str) -> torch.Tensor:
        return self._watch(module, {name: None}, lambda _, given, __: given[0])[name]

    def _watch(
        self, module: nn.Module, names: dict[str, Any], take: Callable[..., torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        seen: dict[str, list[torch.Tensor]] = {name: [] for name in names}
        layers = dict(module.named_modules())
        handles = [
            layers[name].register_forward_hook(
                lambda *told, name=name: seen[name].append(take(*told).detach())
            )
            for name in names
        ]
        with torch.no_grad():
            for batch in self.calibration:
                module(*batch)
        for handle in handles:
            handle.remove()
        return {name: torch.cat(parts) for name, parts in seen.items()}


def candidates(study: Study, share: float, count: int) -> list[Candidate]:
    """So many at a share of the multiply-accumulates, evenly over the range of their scores."""
    base, space = study.prepared.base, study.prepared.space
    model = base.cost_model
    whole = model.macs(space.unpruned.widths)
    problem = SearchProblem(
        space=space,
        features=model.features(),
        layers=model.layers(),
        harm=study.prepared.ranking.harm(space.groups),
        constraints=("macs",),
        evaluate=lambda c, *, learning=True: [
            done(failed(x, Failure(stage="run", message=""))) for x in c
        ],
        estimate=lambda widths: model.macs(widths) / whole,
        evaluations=1,
        seed=0,
        base_quality=1.0,
    )
    chance = np.random.default_rng(0)
    drawn: dict[Candidate, float] = {}
    while len(drawn) < DRAWN * count:
        mixed = chance.random()
        direction = mixed * chance.random(len(space.groups)) + (1 - mixed) / 2
        candidate = scaled(problem, direction, share)
        if candidate not in drawn and problem.estimate(candidate.widths) > 0.97 * share:
            run = EXACT.run(study.cut(candidate.widths))
            drawn[candidate] = score_of(study.prepared.task, run, "heldout", 0.25).value
    order = sorted(drawn, key=lambda c: drawn[c])
    values = np.array([drawn[c] for c in order])
    chosen: dict[Candidate, None] = {}
    for goal in np.linspace(values[0], values[-1], count):
        free = [i for i, c in enumerate(order) if c not in chosen]
        chosen[order[min(free, key=lambda i: abs(values[i] - goal))]] = None
    return list(chosen)


def row_of(study: Study, candidate: Candidate, scratch: Path) -> dict[str, Any]:
    """All rewards of a candidate, what they took, and what it is after fine-tuning."""
    row: dict[str, Any] = {"widths": list(candidate.widths)}

    def told(name: str, work: Callable[[], dict[str, float]]) -> None:
        began = time.perf_counter()
        row.update({f"{name} {key}": value for key, value in work().items()})
        row[f"{name} seconds"] = time.perf_counter() - began

    module = study.cut(candidate.widths)
    told("cut", lambda: study.read(module))
    told("features", lambda: {"error": study.features(module, candidate.widths)})
    refitted = study.refitted(module, candidate.widths)
    told("refit", lambda: study.read(study.refitted(module, candidate.widths)))
    for steps in STEPS:
        told(f"{steps} steps", lambda: study.read(study.briefly(module, steps)))  # noqa: B023
    told("refit, 16 steps", lambda: study.read(study.briefly(refitted, 16)))
    prepared = study.prepared
    began = time.perf_counter()
    train(
        module,
        prepared.task,
        prepared.deployment.finetune,
        folder=scratch,
        teacher=copy.deepcopy(study.teacher),
    )
    row["tuned seconds"] = time.perf_counter() - began
    row["tuned test"] = score_of(prepared.task, EXACT.run(module), "test").value
    row["tuned heldout"] = score_of(prepared.task, EXACT.run(module), "final").value
    return row


def read(path: Path) -> None:
    """Print what each reward tells of the score after tuning, over all items nobody trained on."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    tuned = np.array([(row["tuned test"] + row["tuned heldout"]) / 2 for row in rows])
    print(f"{path.stem}: n = {len(rows)}, {tuned.min():.4f} to {tuned.max():.4f} after tuning")
    print("| reward | Spearman | 95 % | s |\n|---|---|---|---|")
    names = [n for n in rows[0] if n not in ("widths",) and not n.startswith("tuned")]
    found = {}
    for name in names:
        if not name.endswith("seconds"):
            seconds = np.mean([row[f"{name.rpartition(' ')[0]} seconds"] for row in rows])
            found[name] = (np.array([row[name] for row in rows]), float(seconds))
    cut, cut_s = found["cut score"]
    for steps in STEPS:
        values, seconds = found[f"{steps} steps score"]
        found[f"cut score + {steps} steps score"] = (cut + values, cut_s + seconds)
    for name, (values, seconds) in found.items():
        low, high = _interval(values, tuned)
        rank = spearmanr(values, tuned).statistic
        print(f"| {name} | {rank:.2f} | {low:.2f} – {high:.2f} | {seconds:.1f} |")


def _interval(one: np.ndarray, two: np.ndarray) -> tuple[float, float]:
    chance = np.random.default_rng(0)
    picks = chance.integers(0, len(one), (1000, len(one)))
    found = [spearmanr(one[i], two[i]).statistic for i in picks if len(set(i)) > 3]
    return float(np.percentile(found, 2.5)), float(np.percentile(found, 97.5))


def main() -> None:
    """Make rows that are not there yet, then read them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("deployment", type=Path, nargs="?")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path)
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    if asked.read:
        read(asked.read)
        return
    torch.set_num_threads(asked.threads)
    deployment = load_deployment(asked.deployment, asked.set)
    with tempfile.TemporaryDirectory() as scratch:
        folder = RunFolder.open(asked.out.with_suffix(".run"), {}, resume=asked.out.exists())
        prepared = prepare(look_up(deployment, Given(), network=True), folder, Silent())
        prepared = replace(prepared, task=replace(prepared.task, bf16=False))
        study = Study(prepared)
        known = {tuple(row["widths"]) for row in rows_in(asked.out)}
        for number, candidate in enumerate(candidates(study, asked.share, asked.candidates)):
            if candidate.widths in known:
                continue
            row = row_of(study, candidate, Path(scratch) / str(number))
            add_row(asked.out, row)
            print(number, {k: round(v, 4) for k, v in row.items() if k != "widths"}, flush=True)
    read(asked.out)


if __name__ == "__main__":
    main()
