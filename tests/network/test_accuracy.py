from __future__ import annotations

import torch

from hwprune.network.accuracy import accuracy_of, correct
from hwprune.network.data import load_data
from hwprune.network.execution import Execution
from hwprune.network.graph_module import to_module
from hwprune.network.recalibration import recalibrate, recalibrate_onnx
from hwprune.network.source import load_network
from tests.digits import CIFAR, digits


def test_accuracy_is_the_share_of_right_answers(trained_digits):
    module = to_module(trained_digits.onnx)
    images, labels = digits().split("test")
    with torch.no_grad():
        guessed = module(torch.from_numpy(images)).argmax(1).numpy()
    assert accuracy_of(module, digits(), "test") == (guessed == labels).mean()
    assert accuracy_of(module, digits(), "test", batch=7) == (guessed == labels).mean()
    assert correct(module, digits(), "test").tolist() == (guessed == labels).tolist()


def test_looking_at_accuracy_changes_nothing(trained_digits):
    module = to_module(trained_digits.onnx).train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    accuracy_of(module, digits(), "heldout", execution=Execution(device="cpu", bf16=True))
    assert module.training
    for name, tensor in module.state_dict().items():
        assert torch.equal(before[name], tensor) and before[name].dtype == tensor.dtype


def test_recalibration_takes_the_statistics_of_all_its_images(trained_digits):
    module = to_module(trained_digits.onnx)
    images = torch.from_numpy(digits().calibration)
    recalibrate(module, images, batch=len(images))
    seen = torch.nn.functional.conv2d(images, module.conv1.weight, padding=1)
    assert torch.allclose(module.bn1.running_mean, seen.mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(module.bn1.running_var, seen.var((0, 2, 3)), rtol=1e-3, atol=1e-5)
    assert module.bn1.momentum == 0.1 and not module.bn1.training


def test_recalibrated_onnx_computes_what_the_recalibrated_module_does(trained_digits):
    calibration = digits().calibration[:100]
    module = to_module(trained_digits.onnx)
    recalibrate(module, torch.from_numpy(calibration))
    again = to_module(recalibrate_onnx(trained_digits.onnx, calibration))
    images = digits().inputs("test", 32)
    with torch.no_grad():
        assert torch.allclose(module(images), again(images), atol=1e-4)


def test_a_published_network_reaches_its_published_accuracy(cifar_root, resnet56_weights):
    data = load_data("torchvision:CIFAR10", root=str(cifar_root), limit=1000, heldout=500, **CIFAR)
    module = load_network(
        "hwprune.network.zoo:cifar_resnet56", weights=resnet56_weights, num_classes=10
    )
    # 93.39 % on all 10,000 test images; 1,000 of them have a standard error of 0.8 %.
    assert abs(accuracy_of(module, data, "test") - 0.9339) < 0.025
