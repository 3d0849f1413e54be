"""Kernels that are computed from weights are weights; those computed from inputs stay whole."""

from __future__ import annotations

import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwprune.channels.base import make_base
from hwprune.network.gate import check_cut
from hwprune.network.graph_module import to_module
from hwprune.network.onnx_file import imported
from hwprune.network.trace import trace
from tests.channels.small_graphs import conv_net
from tests.traced import relative, run_onnx


class _Standardised(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        weight = (self.weight - mean) / (self.weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class _Half(nn.Conv2d):
    def __init__(self, *sizes: int, **more: int) -> None:
        super().__init__(*sizes, **more)
        self.half()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight.float(), self.bias.float(), padding=self.padding)


FORMULAS = {
    "weight norm": lambda *s, **m: nn.utils.parametrizations.weight_norm(nn.Conv2d(*s, **m)),
    "older weight norm": lambda *s, **m: nn.utils.weight_norm(nn.Conv2d(*s, **m)),
    "spectral norm": lambda *s, **m: nn.utils.parametrizations.spectral_norm(nn.Conv2d(*s, **m)),
    "standardised": _Standardised,
    "half precision": _Half,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_of_weights_is_a_weight_and_is_cut(formula: str) -> None:
    torch.manual_seed(0)
    make = FORMULAS[formula]
    module = nn.Sequential(
        make(3, 8, 3, padding=1),
        nn.ReLU(),
        make(8, 6, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 4, 1),
    ).eval()
    data = torch.randn(2, 3, 8, 8)
    base = make_base(trace(module, data))
    assert base.plan.widths == (8, 6)
    assert base.cost_model.params((8, 6)) == 8 * 27 + 8 + 6 * 72 + 6 + 4 * 6 + 4
    assert base.cost_model.macs((8, 6)) == 64 * (8 * 27 + 6 * 72 + 4 * 6)
    assert check_cut(base) == ()
    with torch.inference_mode():
        expected = module(data).numpy()
        assert relative(to_module(base.onnx)(data).numpy(), expected) < 1e-4
    assert relative(run_onnx(base.onnx, data), expected) < 1e-4


def test_a_weight_that_is_only_turned_stays_the_users() -> None:
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    base = make_base(trace(module, torch.randn(2, 5, 6)))
    assert set(to_module(base.onnx).state_dict()) == set(module.state_dict())


class _Correlation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inside = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 1)

    def forward(self, template: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        return F.conv2d(*(self.inside(self.stem(x)) for x in (image, template)))


@pytest.mark.filterwarnings("ignore")
def test_a_kernel_of_another_input_stays_whole_and_says_so() -> None:
    module, inputs = _Correlation().eval(), (torch.randn(1, 3, 6, 6), torch.randn(1, 3, 16, 16))
    base = make_base(trace(module, inputs))
    assert [(g.name, g.width) for g in base.plan.groups] == [("stem", 8)]
    assert ("inside", "Conv computes its own kernel") in base.plan.frozen
    assert check_cut(base) == ()
    with torch.inference_mode():
        expected = module(*inputs)
        assert torch.allclose(to_module(base.onnx)(*inputs), expected, atol=1e-5)


SCALARS = {
    "axes": "i = Constant<value_int=2>() u = Unsqueeze(a, i) z = Squeeze(u, i)",
    "a reduced axis": "i = Constant<value_int=2>() z = ReduceMean(a, i)",
    "a slice": "s = Constant<value_int=1>() e = Constant<value_int=5>()"
    " o = Constant<value_int=2>() z = Slice(a, s, e, o)",
    "an axis in a list": "i = Constant<value_ints=[2]>() z = CumSum(a, i)",
    "a shape": "r = Constant<value_int=-1>() q = Reshape(a, r) s = Shape(a) z = Reshape(q, s)",
    "no shape": "r = Constant<value_ints=[0,1,2,3]>() s = ReduceSum<keepdims=0>(a, r)"
    " e = Constant<value = int64[0] {}>() q = Reshape(s, e) z = Add(a, q)",
    "a number with axes": "k = Constant<value = float[1,1,1,1,1] {3.0}>() m = Mul(a, k)"
    " i = Constant<value_ints=[0]>() z = Squeeze(m, i)",
}


@pytest.mark.parametrize("case", SCALARS)
def test_a_number_where_a_list_belongs_is_read(case: str) -> None:
    model = conv_net(SCALARS[case], {"last.weight": (4, 8, 1, 1)})
    base = make_base(imported(onnx.load_model_from_string(model)))
    data = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = to_module(base.onnx)(data).numpy()
    assert relative(found, run_onnx(base.onnx, data)) < 1e-5
    assert base.plan.widths == (8,) and check_cut(base) == ()


def test_a_part_of_the_batch_is_no_constant() -> None:
    body = (
        "s = Shape(x) i = Constant<value_int=0>() c = Gather(s, i) t = Constant<value_int=3>()"
        " d = Div(c, t) f = Cast<to=1>(d) z = Add(a, f)"
    )
    model = conv_net(body, {"last.weight": (4, 8, 1, 1)})
    base = make_base(imported(onnx.load_model_from_string(model)))
    data = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = run_onnx(model, data)
    assert relative(run_onnx(base.onnx, data), expected) < 1e-5
    with torch.inference_mode():
        assert relative(to_module(base.onnx)(data).numpy(), expected) < 1e-5


@pytest.mark.parametrize(
    ("forward", "widths"),
    [
        (lambda a, b, x: b(a(x).flip(3)), (8,)),
        (lambda a, b, x: b(a(x).flip(1)), ()),
        (lambda a, b, x: b(F.pad(a(x), (0, 0, 0, 0), mode="reflect")), (8,)),
    ],
    ids=["turned around", "channels turned around", "mirrored by nothing"],
)
def test_places_may_be_turned_and_mirrored(forward, widths) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return forward(self.a, self.b, x)

    torch.manual_seed(0)
    module, data = Net().eval(), torch.randn(2, 3, 8, 8)
    base = make_base(trace(module, data))
    assert base.plan.widths == widths and check_cut(base) == ()
    with torch.inference_mode():
        assert torch.allclose(to_module(base.onnx)(data), module(data), atol=1e-5)
