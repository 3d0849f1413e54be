from __future__ import annotations

import torch

from hwprune.network.execution import EXACT
from hwprune.network.graph_module import to_module
from hwprune.network.recalibration import batches_of, recalibrate, recalibrate_task
from tests.digits import digit_images, digits


def test_recalibration_takes_the_statistics_of_all_its_inputs(trained_digits):
    module = to_module(trained_digits.onnx)
    images = digit_images("calibration", 250)
    recalibrate(module, [(images,)])
    seen = torch.nn.functional.conv2d(images, module.conv1.weight, padding=1)
    assert torch.allclose(module.bn1.running_mean, seen.mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(module.bn1.running_var, seen.var((0, 2, 3)), rtol=1e-3, atol=1e-5)
    assert module.bn1.momentum == 0.1 and not module.bn1.training


def test_a_recalibrated_file_computes_what_the_recalibrated_module_does(trained_digits):
    module = EXACT.place(to_module(trained_digits.onnx))
    recalibrate(module, batches_of([(digit_images("calibration", 250),)]))
    again = to_module(recalibrate_task(trained_digits.onnx, digits()))
    images = digit_images("test", 32)
    with torch.no_grad():
        assert torch.allclose(module(images), again(images), atol=1e-4)


def test_batches_are_of_nearly_equal_size_and_keep_every_item():
    given = [(torch.arange(n)[:, None], torch.zeros(n)) for n in (7, 1, 130, 2)]
    found = batches_of(given, 50)
    assert sum(len(first) for first, _ in found) == 140
    assert {len(first) for first, _ in found} <= {46, 47, 48}
    assert torch.equal(torch.cat([a for a, _ in found]), torch.cat([a for a, _ in given]))
