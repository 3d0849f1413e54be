"""Networks are fine-tuned side by side, each in a process on cores of its own."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch

from hwprune.data_settings import DataSettings
from hwprune.errors import DeliveryError, InputError
from hwprune.finetune.history import read_history
from hwprune.finetune.trainer import train
from hwprune.network.graph_module import to_module, to_onnx
from hwprune.pipeline.delivery import finetune_side_by_side
from hwprune.progress import Silent
from hwprune.recipe import Recipe
from hwprune.task.load import load_task
from hwprune.task_settings import TaskSettings
from hwprune_device.cut import Cutter
from tests.digits import accuracy_of
from tests.doubles.recorded_progress import RecordedProgress
from tests.pipeline.benches import make_bench

SHORT = Recipe(epochs=2, batch_size=64, lr=0.03, bf16=False, distillation=0.5)
DIGITS = DataSettings(source="sklearn:digits", heldout=300, augment="shift")


def bench_of(base, folder, recipe=SHORT, **task):
    bench = make_bench(folder)
    deployment = replace(bench.prepared.deployment, finetune=recipe)
    made = replace(load_task(TaskSettings(**task), DIGITS).task, output_kinds=("classes",))
    bench.prepared = replace(bench.prepared, base=base, task=made, deployment=deployment)
    return bench


@pytest.fixture(scope="module")
def cuts(trained_digits):
    cutter = Cutter(trained_digits.onnx, trained_digits.plan)
    widths = trained_digits.plan.widths
    return {
        "half": cutter.cut_to([w // 2 for w in widths]),
        "third": cutter.cut_to([w // 3 for w in widths]),
    }


@pytest.mark.heavy
def test_two_networks_are_tuned_as_this_process_would(cuts, trained_digits, tmp_path):
    bench, heard = bench_of(trained_digits, tmp_path), RecordedProgress()
    models = finetune_side_by_side(bench, cuts, heard)
    task, folder = bench.prepared.task, bench.folder.path / "finetune"
    for name, model in models.items():
        after = accuracy_of(to_module(model), task, "heldout")
        assert after > accuracy_of(to_module(cuts[name]), task, "heldout") + 0.1
        history = read_history(folder / name)
        assert len(history) == 2 and history[-1].score == pytest.approx(after, abs=0.01)
        assert (folder / name / "worker.log").is_file()
    assert heard.steps == heard.total
    assert any(note.startswith("third: epoch 2/2") for note in heard.notes)
    if len(os.sched_getaffinity(0)) > 1:
        # One core each, so a process gives the very weights that this one would.
        torch.set_num_threads(1)
        module, teacher = to_module(cuts["half"]), to_module(trained_digits.onnx)
        train(module, task, SHORT, folder=tmp_path / "here", teacher=teacher)
        assert models["half"] == to_onnx(module, cuts["half"])


@pytest.mark.heavy
def test_an_error_in_a_process_is_the_same_error_here(cuts, trained_digits, tmp_path):
    bench = bench_of(trained_digits, tmp_path, replace(SHORT, lr=1e9, distillation=0.0))
    with pytest.raises(InputError, match="the training loss is no longer a number"):
        finetune_side_by_side(bench, {"half": cuts["half"]}, Silent())


def test_a_process_that_dies_is_an_error_that_names_its_log(
    cuts,
    trained_digits,
    tmp_path,
):
    (tmp_path / "mine.py").write_text(
        "import os\ndef die(module):\n    print('out of luck', flush=True)\n    os._exit(9)\n"
    )
    bench = bench_of(trained_digits, tmp_path, train=f"{tmp_path}/mine.py:die")
    with pytest.raises(DeliveryError, match="could not be fine-tuned") as raised:
        finetune_side_by_side(bench, {"half": cuts["half"]}, Silent())
    assert "out of luck" in raised.value.given and "worker.log" in raised.value.next_step
