from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwprune.channels.base import make_base
from hwprune.network.cut_module import cut_module
from hwprune.network.gate import check_cut
from hwprune.network.modes import kept_modes
from hwprune.network.trace import trace

EXAMPLE = torch.zeros(1, 3, 8, 8)


def frozen_norm() -> nn.Sequential:
    """A network in train mode whose BatchNorm is held in eval mode."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))
    net.train()[1].eval()
    return net


def modes(module: nn.Module) -> list[bool]:
    return [part.training for part in module.modules()]


def test_a_check_leaves_a_frozen_batchnorm_frozen():
    net = frozen_norm()
    assert check_cut(make_base(trace(net, EXAMPLE)), net, seeds=(0,)) == ()
    assert modes(net) == modes(frozen_norm())


def test_a_cut_module_that_was_run_has_the_modes_of_the_module():
    net = frozen_norm()
    base = make_base(trace(net, EXAMPLE))
    cut = cut_module(net, base.plan, [np.arange(4)], example=EXAMPLE)
    assert modes(cut) == modes(net)


def test_modes_are_put_back_after_a_failure():
    net = frozen_norm()
    with pytest.raises(RuntimeError), kept_modes(net):
        net.eval()(torch.zeros(1, 5, 8, 8))
    assert modes(net) == modes(frozen_norm())
