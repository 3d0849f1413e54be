"""Imitation: what no cut has a bearing on stays as it is."""

from __future__ import annotations

import copy

import torch
from torch import nn

from hwprune.channels.base import make_base
from hwprune.finetune.trainer import train
from hwprune.finetune.upstream import upstream
from hwprune.network.execution import EXACT
from hwprune.network.graph_module import to_module
from hwprune.network.trace import trace
from hwprune.recipe import Recipe
from hwprune.task.agreement import completed
from hwprune.task.scoring import score_of
from hwprune.task.task import Task
from hwprune_device.cut import Cutter


class Heard(nn.Module):
    """Fixed filters, whose logarithm two convolutions and one skipping connection see."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv1d(1, 8, 9, padding=4)
        self.hidden = nn.Conv1d(8, 16, 3, padding=1)
        self.out = nn.Conv1d(16, 4, 3, padding=1)
        self.beside = nn.Conv1d(8, 4, 1)

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        """N 1 T -> N 4 T."""
        x = torch.log(self.filters(sound).square() + 1e-9)
        return self.out(torch.relu(self.hidden(x))) + self.beside(x)


def inputs(part: str, count: int) -> tuple[torch.Tensor, ...]:
    seed = ("train", "calibration", "heldout", "final", "test").index(part)
    draw = torch.Generator().manual_seed(max(seed, 1))
    return torch.randn(min(count, 64), 1, 32, generator=draw).split(16)


def networks() -> tuple[bytes, bytes]:
    """Whole, and with its hidden layer cut from 16 channels to 6."""
    torch.manual_seed(0)
    module = Heard().eval()
    module.out.weight.data *= 40
    base = make_base(trace(module, torch.zeros(2, 1, 32)))
    widths = [6 if width == 16 else width for width in base.plan.widths]
    return base.onnx, Cutter(base.onnx, base.plan).cut_to(widths)


def test_weights_before_every_cut_and_no_others_are_upstream() -> None:
    whole, cut = map(to_module, networks())
    held = {id(weight) for weight in upstream(cut, whole)}
    names = {name.rsplit(".", 1)[0] for name, w in cut.named_parameters() if id(w) in held}
    # `beside` sees nothing that was cut; only what it is added to is another.
    assert names == {"filters", "beside"}
    assert len(upstream(to_module(networks()[0]), whole)) == len([*whole.parameters()])
    assert upstream(Heard(), whole) == ()


def test_imitation_trains_the_rest(tmp_path) -> None:
    whole, cut = map(to_module, networks())
    task = completed(Task(name="sounds", inputs=inputs), EXACT.run(whole), ("values",), ("out",))
    first = copy.deepcopy(cut)
    before = score_of(task, EXACT.run(cut), "heldout").value
    recipe = Recipe(epochs=60, batch_size=16, lr=0.05, bf16=False)
    train(cut, task, recipe, folder=tmp_path, teacher=whole)
    assert score_of(task, EXACT.run(cut), "heldout").value > before + 0.05
    changed = {
        name.rsplit(".", 1)[0]
        for (name, now), was in zip(cut.named_parameters(), first.parameters(), strict=True)
        if not torch.equal(now, was)
    }
    assert changed == {"hidden", "out"}
    assert all(weight.requires_grad for weight in cut.parameters())
