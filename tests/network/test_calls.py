"""A network is tried with inputs that it runs on."""

from __future__ import annotations

from hwprune.channels.base import make_base
from hwprune.network.calls import random_inputs
from hwprune.network.gate import trusted_base
from tests.channels.small_graphs import parsed

SHAPES = {"first": (8, 3, 3, 3), "mid": (6, 8, 1, 1), "last": (4, 6, 1, 1)}


def by_sample_rate(asks: str) -> bytes:
    """A network that only runs where `asks` is true of a rate and 16,000."""
    return parsed(
        f"""
        g (float[1,3,8,8] x, int64 rate) => (float[1,4,8,8] y)
        <int64 known = {{16000}}> {{
            a = Conv <pads=[1,1,1,1]> (x, first)
            b = Relu (a)
            c = Conv (b, mid)
            right = {asks} (known, rate)
            d = If (right) <
                then_branch = t () => (float[1,6,8,8] p) {{ p = Relu (c) }},
                else_branch = e () => (float[1,6,8,8] q) {{ q = Reshape (c, known) }}
            >
            y = Conv (d, last)
        }}""",
        SHAPES,
    )


def test_an_integer_that_is_compared_with_a_number_is_that_number() -> None:
    model = by_sample_rate("Equal")
    _, rate = random_inputs(make_base(model), seed=0)
    assert rate.shape == () and rate.item() == 16000
    base, left, record = trusted_base(model)
    assert base.plan.groups and not left and not record.untried and record.worst_error < 1e-6


def test_a_network_that_does_not_run_on_random_inputs_is_untried_and_says_why() -> None:
    _, _, record = trusted_base(by_sample_rate("Less"))
    assert "does not run on random inputs: If" in record.untried


def test_a_float_that_is_compared_with_a_number_is_drawn_as_any_other() -> None:
    model = parsed(
        """
        g (float[1,4] x, int64[1] rate) => (bool[1,4] y)
        <float endless = {-inf}> { y = Equal (x, endless) }"""
    )
    x, _ = random_inputs(make_base(model), seed=0)
    assert x.isfinite().all()
