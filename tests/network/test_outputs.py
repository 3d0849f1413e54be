"""Whatever a network takes and gives, its delivered form takes and gives the same."""

from __future__ import annotations

from collections import UserDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hwprune.channels.architecture import architecture_hash
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.network.cut_module import cut_module
from hwprune.network.gate import check_cut
from hwprune.network.graph_module import to_module, to_onnx
from hwprune.network.norms import with_norms
from hwprune.network.onnx_file import read_network
from hwprune.network.package import load_package, save_package
from hwprune.network.recalibration import recalibrate_task
from hwprune.network.trace import trace
from hwprune.task.task import Task
from hwprune_device.cut import Cutter
from hwprune_device.output_structure import OUTPUTS_KEY, leaves_of, structure_of
from hwprune_device.values import metadata
from tests.traced import random_keep, relative
from tests.unusual import UNUSUAL

Boxes = namedtuple("Boxes", "corners scores")


@dataclass
class Found:
    logits: torch.Tensor
    loss: torch.Tensor | None = None


FORMS: dict[str, Callable[[torch.Tensor, torch.Tensor], Any]] = {
    "dict": lambda maps, scores: {"scores": scores, "maps": maps},
    "tuple": lambda maps, scores: (maps, scores),
    "list": lambda maps, scores: [maps, scores],
    "nested": lambda maps, scores: {"levels": [maps, (scores,)], "none": None, "stride": 8},
    "one in a tuple": lambda maps, scores: (scores,),
    "numbered": lambda maps, scores: {1: maps, 0: scores},
    "twice": lambda maps, scores: {"first": scores, "again": scores},
    "whole numbers": lambda maps, scores: {"class": scores.argmax(1), "scores": scores},
    "another mapping": lambda maps, scores: UserDict(z=maps, a=scores),
    "dataclass": lambda maps, scores: Found(logits=scores),
    "named tuple": lambda maps, scores: Boxes(maps, scores),
}


class Formed(nn.Module):
    """Two convolutions and a head, in any arrangement."""

    def __init__(self, form: str, norm: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
        self.second, self.head = nn.Conv2d(8, 6, 3), nn.Linear(6, 4)
        self.form = FORMS[form]

    def forward(self, image: torch.Tensor) -> Any:
        maps = torch.relu(self.second(torch.relu(self.norm(self.first(image)))))
        return self.form(maps, self.head(maps.mean((2, 3))))


class Audio(nn.Module):
    """Samples N L, strided convolutions over time."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(1, 8, 16, stride=4), nn.Conv1d(8, 12, 3)
        self.norm, self.head = nn.BatchNorm1d(8), nn.Linear(12, 5)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(samples[:, None])))
        return self.head(torch.relu(self.second(x)).mean(2))


def delivered(base: BaseNetwork, folder: Path) -> nn.Module:
    """The module of a package of a random cut."""
    keep = random_keep(base, 5)
    model = Cutter(base.onnx, base.plan).cut(keep)
    save_package(folder, model=model, widths=[len(k) for k in keep], keep=keep, base=base)
    return load_package(folder)


def agree(given: Any, expected: Any) -> bool:
    pairs = zip(leaves_of(given), leaves_of(expected), strict=True)
    return all(relative(a.numpy(), b.numpy()) < 1e-5 for a, b in pairs)


@pytest.mark.parametrize("form", FORMS)
def test_outputs_are_arranged_as_the_module_arranges_them(form: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, images = Formed(form).eval(), torch.randn(3, 3, 8, 8)
    base = make_base(trace(module, images))
    assert check_cut(base, module, seeds=(0,)) == ()
    package = delivered(base, tmp_path)
    with torch.inference_mode():
        outputs = package(images)
        assert structure_of(outputs) == structure_of(module(images))
        assert agree(outputs, cut_module(module, base.plan, random_keep(base, 5))(images))


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        *(UNUSUAL[name] for name in ("two ways", "encoder", "waves", "mlp")),
        (Audio, (torch.randn(2, 400, generator=torch.Generator().manual_seed(0)),)),
    ],
    ids=["two inputs", "token ids N L", "series N C L", "vectors N C", "samples N L"],
)
def test_inputs_of_any_kind_reach_the_delivered_network(
    make: type[nn.Module], inputs: tuple[torch.Tensor, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    module = make().eval()
    base = make_base(trace(module, inputs))
    assert [entry.shape[1:] for entry in base.inputs] == [tuple(t.shape[1:]) for t in inputs]
    assert check_cut(base, module, seeds=(0,)) == ()
    package = delivered(base, tmp_path)
    twin = to_module((tmp_path / "model.onnx").read_bytes())
    more = tuple(torch.cat([tensor, tensor[:1]]) for tensor in inputs)
    with torch.inference_mode():
        assert structure_of(package(*more)) == structure_of(module(*more))
        assert agree(package(*more), twin(*more))


def test_the_arrangement_is_no_part_of_the_architecture() -> None:
    torch.manual_seed(0)
    image = torch.zeros(1, 3, 8, 8)
    bases = [
        make_base(trace(Formed(form), image)) for form in ("tuple", "list", "another mapping")
    ]
    assert len({base.architecture for base in bases}) == 1
    assert len({metadata(onnx.load_from_string(b.onnx)).get(OUTPUTS_KEY) for b in bases}) == 3


def test_the_arrangement_outlives_all_that_is_done_to_a_graph(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = torch.randn(8, 3, 8, 8)
    expected = structure_of(FORMS["nested"](images, images))
    plain = trace(Formed("nested", norm=False), images)
    normed = with_norms(plain, [(images.numpy(),)])
    assert normed != plain
    settled = recalibrate_task(normed, Task(inputs=lambda part, count: [images]))
    again = to_onnx(to_module(settled).train(), settled)
    (tmp_path / "net.onnx").write_bytes(again)
    read = read_network(tmp_path / "net.onnx")
    for model in (plain, normed, settled, again, read, trace(to_module(read), images)):
        assert structure_of(to_module(model)(images)) == expected
    assert architecture_hash(read) == architecture_hash(normed)


def test_a_mask_that_is_worked_out_is_no_weight() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.val_head = nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.val_head(x) + torch.full((6, 6), -1e4).triu(1).unsqueeze(0)

    module = Masked()
    twin = to_module(trace(module, torch.zeros(2, 6, 6)))
    assert list(twin.state_dict()) == list(module.state_dict())
    assert np.allclose(*(m(torch.ones(1, 6, 6)).detach() for m in (twin, module)))


class Shared(nn.Module):
    """A layer under two names, and a weight that is two layers'."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.inner = nn.Embedding(20, 16), nn.Linear(16, 16)
        self.again, self.last = self.inner, nn.Linear(16, 20)
        self.last.weight = self.words.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.again(torch.relu(self.inner(self.words(tokens))))))


def test_what_is_shared_has_all_its_names_and_stays_shared(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, tokens = Shared().eval(), torch.arange(12).reshape(2, 6)
    base = make_base(trace(module, tokens))
    keep = [np.arange(group.width) for group in base.plan.groups]
    save_package(tmp_path, model=base.onnx, widths=base.widths, keep=keep, base=base)
    package = load_package(tmp_path)
    module.load_state_dict(package.state_dict())
    assert len(list(package.parameters())) == len(list(module.parameters()))
    package.train()(tokens).square().sum().backward()
    torch.optim.SGD(package.parameters(), lr=0.1).step()
    module.load_state_dict(package.state_dict())
    with torch.inference_mode():
        assert agree(package.eval()(tokens), module(tokens))
