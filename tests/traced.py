"""Networks for tests, each traced once in a test run, with weights that hide nothing."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.network import zoo
from hwprune.network.trace import trace
from tests.once import once


@dataclass(frozen=True)
class Traced:
    """A module, its base network, and an input of batch 2."""

    module: nn.Module
    base: BaseNetwork
    example: torch.Tensor


def _wide_flatten_vgg() -> nn.Module:
    """torchvision's VGG-11 with BatchNorm; hidden layers of 96 so that it takes no 500 MB."""
    features = torchvision.models.vgg11_bn(init_weights=False).features
    model = torchvision.models.VGG(features, num_classes=10, init_weights=False)
    model.classifier = nn.Sequential(
        nn.Linear(512 * 7 * 7, 96), nn.ReLU(), nn.Dropout(), nn.Linear(96, 10)
    )
    return model


def _short_mobilenet() -> nn.Module:
    """torchvision's MobileNetV2 with a block of each kind, traced in half of the time."""
    settings = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 1, 2]]
    return torchvision.models.MobileNetV2(inverted_residual_setting=settings)


_MAKERS = {
    "digits_cnn": (zoo.digits_cnn, (1, 8, 8)),
    "cifar_resnet20": (zoo.cifar_resnet20, (3, 32, 32)),
    "cifar_resnet56": (zoo.cifar_resnet56, (3, 32, 32)),
    "cifar_resnet110": (zoo.cifar_resnet110, (3, 32, 32)),
    "cifar_vgg16_bn": (zoo.cifar_vgg16_bn, (3, 32, 32)),
    "resnet18": (torchvision.models.resnet18, (3, 64, 64)),
    "resnet50": (torchvision.models.resnet50, (3, 64, 64)),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, (3, 64, 64)),
    "short_mobilenet": (_short_mobilenet, (3, 64, 64)),
    "densenet121": (torchvision.models.densenet121, (3, 64, 64)),
    "flatten_vgg": (_wide_flatten_vgg, (3, 224, 224)),
}
HEAVY = (
    "cifar_resnet56",
    "cifar_resnet110",
    "cifar_vgg16_bn",
    "resnet18",
    "resnet50",
    "mobilenet_v2",
    "densenet121",
)
NETWORKS = [
    pytest.param(name, marks=pytest.mark.heavy) if name in HEAVY else name for name in _MAKERS
]


@functools.cache
def traced(name: str) -> Traced:
    """A network by name."""
    make, shape = _MAKERS[name]
    torch.manual_seed(0)
    module = make().eval()
    randomise_norms(module)
    example = torch.randn(2, *shape)
    graph = once(f"{name}.onnx", lambda: trace(module, example))
    return Traced(module, make_base(graph), example)


def randomise_norms(module: nn.Module) -> None:
    """Give every BatchNorm channel numbers of its own: equal ones would hide a swap."""
    generator = torch.Generator().manual_seed(1)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight.data, layer.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            for tensor in (layer.bias.data, layer.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)


def random_keep(base: BaseNetwork, seed: int, *, least: float = 0.0) -> list[np.ndarray]:
    """Random units of each group: from one (or a share) to all of them."""
    rng = np.random.default_rng(seed)
    keep = []
    for group in base.plan.groups:
        count = rng.integers(max(1, int(least * group.width)), group.width + 1)
        keep.append(np.sort(rng.choice(group.width, count, replace=False)))
    return keep


def random_widths(base: BaseNetwork, seed: int) -> tuple[int, ...]:
    """A random width for each group."""
    return tuple(len(units) for units in random_keep(base, seed))


def run_onnx(model: bytes, data: torch.Tensor) -> np.ndarray:
    """Outputs of an ONNX model in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: data.numpy()})[0]


def relative(given: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference as a share of the largest expected value."""
    assert given.shape == expected.shape
    return float(np.abs(given - expected).max() / np.abs(expected).max())
