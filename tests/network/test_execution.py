from __future__ import annotations

import pytest
import torch

from hwprune.network.execution import EXACT, Execution
from hwprune.network.graph_module import to_module
from hwprune.network.source import load_network
from hwprune.task.data import load_data
from hwprune.task.kinds import classification
from tests.digits import CIFAR, accuracy_of, digit_data, digit_images, digits, labels_of


def test_a_run_is_what_the_module_gives_in_eval_mode(trained_digits):
    module = to_module(trained_digits.onnx)
    images, labels = digit_images("test"), labels_of(digit_data(), "test")
    with torch.no_grad():
        right = (module(images).argmax(1) == labels).double().mean()
    assert accuracy_of(module, digits(), "test") == right.item()


def test_running_a_module_leaves_its_mode_alone(trained_digits):
    module = to_module(trained_digits.onnx).train()
    outputs = EXACT.run(module)(digit_images("test", 4))
    assert module.training and not outputs.requires_grad


def test_bf16_comes_out_as_float32_and_whole_numbers_stay(trained_digits):
    fast = Execution(device="cpu", bf16=True)
    module = fast.place(to_module(trained_digits.onnx))
    assert fast.run(module)(digit_images("test", 4)).dtype == torch.float32
    ids, values = fast.inputs([torch.arange(6).reshape(2, 3), torch.rand(2, 3)])
    assert ids.dtype == torch.int64 and values.dtype == torch.bfloat16


def test_outputs_of_any_structure_come_through():
    class Two(torch.nn.Module):
        def forward(self, x):
            return {"a": x.bfloat16(), "b": [x.argmax(1), None]}

    found = EXACT.run(Two())(torch.rand(2, 3))
    assert found["a"].dtype == torch.float32
    assert found["b"][0].dtype == torch.int64 and found["b"][1] is None


@pytest.mark.heavy
def test_a_published_network_reaches_its_published_accuracy(cifar_root, resnet56_weights):
    data = load_data("torchvision:CIFAR10", root=str(cifar_root), heldout=500, **CIFAR)
    module = load_network(
        "hwprune.network.zoo:cifar_resnet56", weights=resnet56_weights, num_classes=10
    )
    run = EXACT.run(EXACT.place(module))
    score = classification(data).score(run, "test", 0.1)
    # 93.39 % on all 10,000 test images; 1,000 of them have a standard error of 0.8 %.
    assert abs(score.value - 0.9339) < 0.025
