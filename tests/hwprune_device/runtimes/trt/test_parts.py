"""Layers of an engine by the names that TensorRT gives them."""

from __future__ import annotations

import pytest

from hwprune_device.runtimes.trt.parts import parts_of
from tests.hwprune_device.chain import chain


@pytest.mark.parametrize(
    ("name", "layer", "op"),
    [
        ("conv0", "w0", "Conv"),
        ("conv1 + relu1", "w1", "Conv, Relu"),
        ("PWN(relu1)", "relu1", "Relu"),
        ("conv0 + relu0 + conv1", "w0 + w1", "Conv, Relu"),
        ("Reformatting CopyNode for Input Tensor 0 to conv2 + relu2", "w2", "Reformat"),
        ("{ForeignNode[conv0...gemm]}", "", "{ForeignNode"),
        ("__myl_Fc[0]", "", "__myl_Fc"),
    ],
)
def test_a_name_leads_back_to_the_layers_in_it_or_is_kept(name: str, layer: str, op: str):
    (part,) = parts_of(chain(), [{name: 1.0}, {name: 1.0}])
    assert (part.name, part.layer, part.op, part.ms) == (name, layer, op, 1.0)
