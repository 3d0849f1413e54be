"""BatchNorm comes back into a network that lost it, and changes nothing by that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from hwprune.channels.base import make_base
from hwprune.errors import DataError
from hwprune.finetune.trainer import train
from hwprune.network.gate import check_cut
from hwprune.network.graph_module import to_module
from hwprune.network.norms import with_norms
from hwprune.network.onnx_file import read_network
from hwprune.network.recalibration import recalibrate_task
from hwprune.network.trace import trace
from hwprune.recipe import Recipe
from hwprune_device.cut import Cutter
from tests.channels.small_graphs import parsed
from tests.digits import digit_example, digit_images, digits, trained_digits_base
from tests.traced import relative, run_onnx
from tests.unusual import Tied, Waves


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
    model = with_norms(folded, [(digit_images("calibration", 250).numpy(),)])
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

    normed = accuracy(with_norms(folded, [(digit_images("calibration", 250).numpy(),)]), "normed")
    assert normed > 0.8 > accuracy(folded, "folded")


def test_a_network_that_has_norms_is_left_alone():
    model = trained_digits_base().onnx
    assert with_norms(model, [(digit_images("calibration", 250).numpy(),)]) is model


def _batches(*shape: int, count: int = 3, size: int = 8) -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((size, *shape)).astype(np.float32),) for _ in range(count)]


def _norms(model: bytes) -> dict[str, torch.nn.Module]:
    modules = to_module(model).named_modules()
    return {name: layer for name, layer in modules if isinstance(layer, _BatchNorm)}


def test_layers_of_one_axis_have_norms_whose_statistics_are_the_inputs():
    torch.manual_seed(0)
    model = trace(Waves().eval(), torch.randn(2, 2, 64))
    batches = _batches(2, 64)
    normed = with_norms(model, batches)
    inputs = torch.from_numpy(np.concatenate([batch for (batch,) in batches]))
    assert relative(run_onnx(normed, inputs), run_onnx(model, inputs)) < 1e-5
    # The depthwise layer has its norm; the last one makes the output.
    new = set(_norms(normed)) - set(_norms(model))
    assert new == {"first_norm", "gated_norm", "upwards_norm"}
    with torch.inference_mode():
        seen = to_module(model).first(inputs)
    norm = _norms(normed)["first_norm"]
    assert torch.allclose(norm.running_mean, seen.mean((0, 2)), atol=1e-5)
    assert torch.allclose(norm.running_var, seen.var((0, 2), unbiased=False), atol=1e-5)
    assert check_cut(make_base(normed)) == ()


def test_a_layer_that_is_used_twice_has_two_norms():
    torch.manual_seed(0)
    model = trace(Tied().eval(), torch.randn(2, 3, 16, 16))
    normed = with_norms(model, _batches(3, 16, 16))
    images = torch.from_numpy(_batches(3, 16, 16)[0][0])
    assert relative(run_onnx(normed, images), run_onnx(model, images)) < 1e-4
    assert {"twice_norm", "twice_norm_2"} <= set(_norms(normed))
    assert check_cut(make_base(normed)) == ()


TWO = """g (float[N,3,8,8] image, float[N,1,4,4] depth) => (float[N,2,8,8] y) {
    a = Conv<pads=[1,1,1,1]>(image, w1) r = Relu(a)
    b = ConvTranspose<strides=[2,2]>(depth, w2) s = Relu(b)
    c = Concat<axis=1>(r, s) d = Conv(c, w3) e = Relu(d) y = Conv(e, w4)
}"""


def test_networks_of_several_inputs_are_fed_all_of_them(tmp_path):
    shapes = {"w1": (6, 3, 3, 3), "w2": (1, 5, 2, 2), "w3": (7, 11, 1, 1), "w4": (2, 7, 1, 1)}
    (tmp_path / "two.onnx").write_bytes(parsed(TWO, shapes))
    model = read_network(tmp_path / "two.onnx")
    rng = np.random.default_rng(0)
    sizes = ((4, 3, 8, 8), (4, 1, 4, 4))
    batches = [
        tuple(rng.standard_normal(size).astype(np.float32) for size in sizes) for _ in range(2)
    ]
    normed = with_norms(model, batches)
    assert len(_norms(normed)) == 3
    given = [torch.from_numpy(array) for array in batches[0]]
    with torch.inference_mode():
        expected = to_module(model)(*given).numpy()
        assert relative(to_module(normed)(*given).numpy(), expected) < 1e-5
    assert check_cut(make_base(normed)) == ()


FIXED = """g (float[2,3,8,8] x) => (float[2,4,1,1] y) {
    a = Conv(x, w1) r = Relu(a) p = GlobalAveragePool(r) b = Conv(p, w2) t = Relu(b)
    y = Conv(t, w3)
}"""


def test_a_network_of_one_batch_size_is_fed_that_many_at_a_time(tmp_path):
    shapes = {"w1": (6, 3, 3, 3), "w2": (5, 6, 1, 1), "w3": (4, 5, 1, 1)}
    (tmp_path / "fixed.onnx").write_bytes(parsed(FIXED, shapes))
    model = read_network(tmp_path / "fixed.onnx")
    assert not make_base(model).inputs[0].any_batch
    normed = with_norms(model, _batches(3, 8, 8, size=5))
    # Maps of one place have no steady statistics.
    assert len(_norms(normed)) == 1
    images = torch.from_numpy(_batches(3, 8, 8, size=2)[0][0])
    assert relative(run_onnx(normed, images), run_onnx(model, images)) < 1e-5
    for batches in ([], _batches(3, 8, 8, size=1)):
        with pytest.raises(DataError, match="no inputs"):
            with_norms(model, batches)


def test_layers_that_no_cut_reaches_are_left_alone(tmp_path):
    """A fixed filter before the network, as of a spectrogram, keeps what it says."""
    body = """g (float[N,1,64] x) => (float[N,3,57] y) {
        s = Conv(x, filter) n = Softmax<axis=1>(s)
        a = Conv(n, w1) b = Relu(a) y = Conv(b, w2)
    }"""
    shapes = {"filter": (6, 1, 8), "w1": (8, 6, 1), "w2": (3, 8, 1)}
    (tmp_path / "sound.onnx").write_bytes(parsed(body, shapes))
    normed = with_norms(read_network(tmp_path / "sound.onnx"), _batches(1, 64))
    (norm,) = _norms(normed).values()
    assert norm.num_features == 8
