from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch

from hwprune.errors import HwpruneError, InputError
from hwprune.finetune.history import read_history
from hwprune.finetune.job import finetune_side_by_side
from hwprune.finetune.trainer import train
from hwprune.network.accuracy import accuracy_of
from hwprune.network.graph_module import to_module, to_onnx
from hwprune.progress import Silent
from hwprune.recipe import Recipe
from hwprune_device.cut import Cutter
from tests.digits import digits

SHORT = Recipe(epochs=2, batch_size=64, lr=0.03, bf16=False, distillation=0.5)


class Heard(Silent):
    def __init__(self):
        self.steps, self.notes, self.total = 0, [], None

    def begin(self, stage, total):
        self.total = total

    def advance(self, count=1, note=""):
        self.steps += count
        self.notes += [note] if note else []


@pytest.fixture(scope="module")
def cuts(trained_digits):
    cutter = Cutter(trained_digits.onnx, trained_digits.plan)
    widths = trained_digits.plan.widths
    return {
        "half": cutter.cut_to([w // 2 for w in widths]),
        "third": cutter.cut_to([w // 3 for w in widths]),
    }


def test_two_networks_are_tuned_side_by_side(cuts, trained_digits, tmp_path):
    heard = Heard()
    models = finetune_side_by_side(
        cuts,
        teacher=trained_digits.onnx,
        recipe=SHORT,
        data=digits(),
        folder=tmp_path,
        progress=heard,
        cores=sorted(os.sched_getaffinity(0))[:2],
    )
    for name, model in models.items():
        before = accuracy_of(to_module(cuts[name]), digits(), "heldout")
        after = accuracy_of(to_module(model), digits(), "heldout")
        assert after > before + 0.1
        history = read_history(tmp_path / name)
        assert len(history) == 2 and history[-1].accuracy == pytest.approx(after, abs=0.01)
    # One core each, so a process gives the very weights that this one would.
    torch.set_num_threads(1)
    module = to_module(cuts["half"])
    teacher = to_module(trained_digits.onnx)
    train(module, digits(), SHORT, folder=tmp_path / "here", teacher=teacher)
    assert models["half"] == to_onnx(module, cuts["half"])
    assert heard.steps == heard.total
    assert any(note.startswith("third: epoch 2/2") for note in heard.notes)
    # The data is large and may be private: it does not stay behind.
    assert not list(tmp_path.glob("data.*"))


def test_an_error_in_a_process_is_the_same_error_here(cuts, tmp_path):
    with pytest.raises(InputError, match="half: the training loss is no longer a number"):
        finetune_side_by_side(
            {"half": cuts["half"]},
            teacher=None,
            recipe=replace(SHORT, lr=1e9, distillation=0.0),
            data=digits(),
            folder=tmp_path,
        )


def test_a_process_that_dies_is_an_error_that_names_its_log(cuts, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import os, sys\n"
        "def die(*_):\n"
        "    print('out of luck', file=sys.stderr, flush=True)\n"
        "    os._exit(9)\n"
    )
    with pytest.raises(HwpruneError, match="out of luck") as caught:
        finetune_side_by_side(
            {"half": cuts["half"]},
            teacher=None,
            recipe=replace(SHORT, custom=f"{tmp_path}/mine.py:die"),
            data=digits(),
            folder=tmp_path / "run",
        )
    assert "worker.log" in str(caught.value)
