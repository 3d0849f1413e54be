"""Cuts of all kinds of networks are exact, against the torch cut and the silenced network."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.errors import NetworkError
from hwprune.network.cut_module import cut_module
from hwprune.network.detector import cuttable_part, example_of_part
from hwprune.network.gate import check_cut
from hwprune.network.graph_module import to_module
from hwprune.network.silencing import silenced_module
from hwprune.network.trace import trace
from hwprune_device.cut import Cutter
from hwprune_device.output_structure import leaves_of
from tests.once import once
from tests.traced import random_keep, randomise_norms, relative
from tests.unusual import UNUSUAL

IN_CODE = {"encoder", "torch encoder", "shuffled", "waves", "tied"}
"""Networks with channel counts in their code, which a cut of the module cannot reach."""
GROUPS = {
    "unet": {"down1.0": 8, "down2.0": 12, "middle.0": 16, "up2": 10, "up1": 6},
    "mlp": {"layers.0": 32, "layers.2": 24},
    "waves": {"first": 16, "gated": 12},
    "encoder": {"norm": 32, "blocks.0.query": 4, "blocks.1.wide": 64, "pooler": 32},
    "torch encoder": {"into": 24, "layer.self_attn": 3, "layer.linear1": 48},
    "shuffled": {"first": 8, "grouped": 8, "again[0:8]": 8, "squeeze": 4},
    "tied": {"first": 12, "words": 6},
    "two ways": {"image.0": 10, "depth.0": 6, "parts.fuse-0.0": 12},
    "group norm": {"first": 4, "second": 12},
    "super-resolution": {"first": 16, "second": 16, "wide": 8},
    "spoken": {"first": 8, "heard": 12, "between": 14, "understood": 10},
}


@dataclass(frozen=True)
class Case:
    module: nn.Module
    base: BaseNetwork
    inputs: tuple[torch.Tensor, ...]


@functools.cache
def case(name: str) -> Case:
    make, inputs = UNUSUAL[name]
    torch.manual_seed(0)
    module = make().eval()
    randomise_norms(module)
    graph = once(f"{name}.onnx", lambda: trace(module, inputs))
    return Case(module, make_base(graph), inputs)


def _run(model: bytes, inputs: tuple[torch.Tensor, ...]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = (entry.name for entry in session.get_inputs())
    return session.run(None, dict(zip(names, (t.numpy() for t in inputs), strict=True)))


def _worst(given: list[np.ndarray], expected: list[torch.Tensor]) -> float:
    assert len(given) == len(expected)
    return max(relative(a, b.numpy()) for a, b in zip(given, expected, strict=True))


@pytest.mark.parametrize("name", UNUSUAL)
def test_groups_are_those_that_the_code_has(name: str) -> None:
    groups = {g.name: g.width for g in case(name).base.plan.groups}
    assert GROUPS[name].items() <= groups.items()


@pytest.mark.parametrize("name", UNUSUAL)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_any_cut_computes_what_the_silenced_network_computes(name: str, seed: int) -> None:
    this = case(name)
    keep = random_keep(this.base, seed)
    model = Cutter(this.base.onnx, this.base.plan).cut(keep)
    given = _run(model, this.inputs)
    with torch.inference_mode():
        silent = silenced_module(this.base.onnx, this.base.plan, keep)
        assert _worst(given, leaves_of(silent(*this.inputs))) < 1e-5
        assert _worst(given, leaves_of(to_module(model)(*this.inputs))) < 1e-5


@pytest.mark.parametrize("name", sorted(set(UNUSUAL) - IN_CODE))
def test_the_cut_module_computes_the_same(name: str) -> None:
    this = case(name)
    keep = random_keep(this.base, 3)
    cut = cut_module(this.module, this.base.plan, keep, example=this.inputs)
    model = Cutter(this.base.onnx, this.base.plan).cut(keep)
    with torch.inference_mode():
        assert _worst(_run(model, this.inputs), leaves_of(cut(*this.inputs))) < 1e-5


@pytest.mark.parametrize("name", sorted(IN_CODE - {"tied"}))
def test_a_module_with_channel_counts_in_its_code_is_refused(name: str) -> None:
    this = case(name)
    keep = [units[: max(1, len(units) // 2)] for units in random_keep(this.base, 1, least=0.9)]
    with pytest.raises(NetworkError, match=r"channel counts|does not run"):
        cut_module(this.module, this.base.plan, keep, example=this.inputs)


@pytest.mark.parametrize("name", UNUSUAL)
def test_the_gate_lets_them_pass(name: str) -> None:
    this = case(name)
    assert check_cut(this.base, this.module) == ()


def torchvision_part(name: str):  # type: ignore[no-untyped-def]
    from torchvision import models

    size = {"inception_v3": 299, "ssd300_vgg16": 300, "ssdlite320_mobilenet_v3_large": 320}
    images = torch.randn(2, 3, size.get(name, 224), size.get(name, 224))
    given: dict[str, object] = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        given |= {"aux_logits": False, "init_weights": False}
    if name not in models.list_models(models):
        given |= {"weights_backbone": None}
    part = cuttable_part(models.get_model(name, **given).eval())
    for layer in part.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.any():
            # A head that starts at zero would agree with anything.
            nn.init.normal_(layer.weight, std=0.02)
    return part, example_of_part(part, (images,))


FAMILIES_IN_CODE = {"shufflenet_v2_x1_0", "vit_b_32", "swin_t", "swin_v2_t", "maxvit_t"}
"""Families with channel counts in their code: splits, heads, packed projections."""
LIGHT = ("squeezenet1_1",)
FAMILIES = (
    *("mobilenet_v3_small", "shufflenet_v2_x1_0"),
    *("alexnet", "vgg11_bn", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "googlenet"),
    *("inception_v3", "mnasnet1_0", "efficientnet_b0", "efficientnet_v2_s", "regnet_x_400mf"),
    *("regnet_y_400mf", "convnext_tiny", "vit_b_32", "swin_t", "swin_v2_t", "maxvit_t"),
    *("fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"),
    *("ssd300_vgg16", "ssdlite320_mobilenet_v3_large", "retinanet_resnet50_fpn"),
    *("fcos_resnet50_fpn", "fasterrcnn_mobilenet_v3_large_fpn"),
)


@pytest.mark.parametrize(
    "name", [*LIGHT, *(pytest.param(name, marks=pytest.mark.heavy) for name in FAMILIES)]
)
def test_every_torchvision_family_is_cut_exactly(name: str) -> None:
    torch.manual_seed(0)
    part, inputs = torchvision_part(name)
    base = make_base(trace(part, inputs))
    for seed in (1, 2):
        keep = random_keep(base, seed, least=0.3)
        model = Cutter(base.onnx, base.plan).cut(keep)
        with torch.inference_mode():
            expected = leaves_of(silenced_module(base.onnx, base.plan, keep)(*inputs))
            assert _worst(_run(model, inputs), expected) < 1e-5
            if name not in FAMILIES_IN_CODE:
                cut = cut_module(part, base.plan, keep)
                assert _worst(_run(model, inputs), leaves_of(cut(*inputs))) < 1e-5
        widths = [len(units) for units in keep]
        assert base.cost_model.params(widths) < base.cost_model.params(base.widths)


@pytest.mark.heavy
def test_a_cut_of_a_detectors_part_is_a_cut_of_the_detector() -> None:
    from torchvision.models import detection

    torch.manual_seed(0)
    detector = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
    part = cuttable_part(detector)
    base = make_base(trace(part, example_of_part(part, (torch.randn(2, 3, 320, 320),))))
    keep = random_keep(base, 1, least=0.5)
    cut = cut_module(detector, base.plan, keep)
    before, after = (sum(p.numel() for p in m.parameters()) for m in (detector, cut))
    assert after < 0.9 * before
    with torch.inference_mode():
        (found,) = cut([torch.rand(3, 320, 320)])
    assert set(found) == {"boxes", "scores", "labels"}
