"""BatchNorm comes back into a network that lost it, and changes nothing by that."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwprune.channels.base import make_base
from hwprune.finetune.trainer import train
from hwprune.network.gate import check_cut
from hwprune.network.graph_module import to_module
from hwprune.network.norms import with_norms
from hwprune.network.onnx_file import read_network
from hwprune.network.recalibration import recalibrate_task
from hwprune.recipe import Recipe
from hwprune_device.cut import Cutter
from tests.digits import digit_example, digit_images, digits, trained_digits_base
from tests.traced import relative, run_onnx


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    """The trained digits network as an exporter writes it that folds BatchNorm."""
    path = tmp_path_factory.mktemp("onnx") / "digits.onnx"
    module = to_module(trained_digits_base().onnx)
    batch = {"image": {0: "N"}, "scores": {0: "N"}}
    torch.onnx.export(
        *(module, (digit_example(),), path),
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["scores"],
        dynamic_axes=batch,
    )
    return read_network(path)


pytestmark = pytest.mark.filterwarnings("ignore")


def test_outputs_stay_and_every_convolution_has_its_norm(folded):
    model = with_norms(folded, digit_images("calibration", 250).numpy())
    images = digit_images("heldout", 16)
    assert relative(run_onnx(model, images), run_onnx(folded, images)) < 1e-4
    norms = [m for m in to_module(model).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 7
    assert "running_mean" in " ".join(dict(to_module(model).named_buffers()))
    assert check_cut(make_base(model)) == ()


def test_a_cut_network_learns_again_for_it(folded, tmp_path):
    def accuracy(model: bytes, folder: str) -> float:
        base = make_base(model)
        keep = [np.arange(0, group.width, 2) for group in base.plan.groups]
        module = to_module(recalibrate_task(Cutter(base.onnx, base.plan).cut(keep), digits()))
        recipe = Recipe(epochs=3, lr=0.05, bf16=False)
        return train(module, digits(), recipe, folder=tmp_path / folder)[-1].score

    normed = accuracy(with_norms(folded, digit_images("calibration", 250).numpy()), "normed")
    assert normed > 0.8 > accuracy(folded, "folded")


def test_a_network_that_has_norms_is_left_alone():
    model = trained_digits_base().onnx
    assert with_norms(model, digit_images("calibration", 250).numpy()) is model
