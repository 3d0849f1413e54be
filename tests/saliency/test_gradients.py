from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hwprune.network.graph_module import to_module
from hwprune.saliency import gradients
from tests.digits import digit_data, digit_images, digits, labels_of
from tests.saliency.subjects import plain_cnn, subject, traced


def test_snip_is_the_slope_of_the_loss_by_a_gate_on_the_channel_s_weights(monkeypatch):
    monkeypatch.setattr(gradients, "IMAGES", 10**6)
    base = traced(plain_cnn())
    scores, _ = gradients.snip(subject(base, digits()))
    images, labels = digit_images("train"), labels_of(digit_data(), "train")
    slopes = []
    for channel in range(8):
        losses = []
        for gate in (0.98, 1.02):
            net = to_module(base.onnx)
            with torch.no_grad():
                net.get_submodule("0").weight[channel] *= gate
                losses.append(float(F.cross_entropy(net(images), labels)))
        slopes.append(abs(losses[1] - losses[0]) / 0.04)
    assert np.array(scores) == pytest.approx(np.array(slopes) / np.mean(slopes), abs=0.05)
