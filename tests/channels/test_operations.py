"""What layers tell of how the graph applies them, up to the next layer."""

from __future__ import annotations

from hwprune.channels.base import make_base
from hwprune.operation import Operation
from tests.channels.small_graphs import conv_net, parsed
from tests.traced import traced


def applied(model: bytes) -> dict[str, Operation | None]:
    return {layer.name: layer.operation for layer in make_base(model).cost_model.layers()}


def test_sizes_strides_and_padding_of_convolutions() -> None:
    model = conv_net(
        """b = Conv <strides=[2,1], pads=[1,0,1,0], kernel_shape=[3,1]> (a, mid.weight)
        z = Relu (b)""",
        {"mid.weight": (6, 8, 3, 1), "last.weight": (4, 6, 1, 1)},
    )
    middle = applied(model)["mid"]
    assert middle is not None
    assert (middle.input_size, middle.output_size) == ((8, 8), (4, 8))
    assert (middle.kernel, middle.stride, middle.padding) == ((3, 1), (2, 1), (1, 0, 1, 0))
    assert middle.then == ("Relu",) and middle.activation == "Relu" and not middle.bias


def test_a_spelt_out_swish_is_one_and_a_residual_is_none() -> None:
    model = conv_net(
        """b = Conv (a, mid.weight)
        gate = HardSigmoid <alpha=0.16666667, beta=0.5> (b)
        c = Mul (b, gate)
        d = Conv (c, next.weight)
        z = Add (a, d)""",
        {
            "mid.weight": (6, 8, 1, 1),
            "next.weight": (8, 6, 1, 1),
            "last.weight": (4, 8, 1, 1),
        },
    )
    found = applied(model)
    assert found["mid"] is not None and found["mid"].activation == "HardSwish"
    # Its reader and the sum are no activation.
    assert found["first"] is not None and found["first"].then == ()
    assert found["next"] is not None and found["next"].then == ("Add",)


def test_a_branch_with_arithmetic_of_its_own_is_not_taken_for_none() -> None:
    model = conv_net(
        """b = Conv (a, mid.weight)
        s = Sigmoid (b)
        t = Mul (s, s)
        z = Mul (b, t)""",
        {"mid.weight": (6, 8, 1, 1), "last.weight": (4, 6, 1, 1)},
    )
    middle = applied(model)["mid"]
    assert middle is not None and middle.activation == "?"


def test_a_weight_used_twice_has_no_one_operation() -> None:
    model = conv_net(
        """b = Conv (a, mid.weight)
        c = Relu (b)
        z = Conv (c, mid.weight)""",
        {"mid.weight": (8, 8, 1, 1), "last.weight": (4, 8, 1, 1)},
    )
    found = applied(model)
    assert found["mid"] is None and found["last"] is not None


def test_only_products_whose_weight_gives_by_rows_are_told() -> None:
    text = """
    g (float[N,4] x) => (float[N,3] y) {
        a = Gemm <transB=1> (x, one, bias)
        b = Relu (a)
        y = MatMul (b, two)
    }"""
    found = applied(parsed(text, {"one": (6, 4), "bias": (6,), "two": (6, 3)}))
    assert found == {"one": Operation(bias=True, then=("Relu",)), "two": None}


def test_mobilenets_blocks_are_told_with_their_clip_and_sum() -> None:
    layers = traced("short_mobilenet").base.cost_model.layers()
    thens = [layer.operation.then for layer in layers if layer.operation]
    assert len(thens) == len(layers)
    assert sum("Relu6" in then for then in thens) == 9
    assert sum("Add" in then for then in thens) == 1
