"""Widths that are offered: multiples, floors, heads, and what is said for groups by name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwprune.width_limit import WidthLimit, group_choices, width_choices
from hwprune_device.plan import ChannelGroup


@given(
    width=st.integers(1, 2048),
    multiple_of=st.sampled_from([1, 4, 8, 16]),
    min_keep=st.floats(0.01, 1.0),
)
def test_choices_ascend_end_at_full_width_and_respect_the_floor(width, multiple_of, min_keep):
    choices = width_choices(width, multiple_of=multiple_of, min_keep=min_keep)
    assert list(choices) == sorted(set(choices))
    assert choices[-1] == width
    assert all(c >= max(1, round(width * min_keep)) for c in choices)
    if width >= 2 * multiple_of:
        assert all(c % multiple_of == 0 for c in choices[:-1])


@given(heads=st.integers(2, 16), multiple_of=st.sampled_from([1, 4, 8, 16, 32]))
def test_heads_are_offered_one_by_one_where_a_head_is_wide_enough(heads, multiple_of):
    choices = width_choices(heads, multiple_of=multiple_of, min_keep=0.01, unit=32)
    assert choices == tuple(range(1, heads + 1))


def test_a_pattern_changes_the_groups_it_names():
    stem = ChannelGroup(name="conv1", width=64, members=("conv1", "layer1.0.conv2"))
    other = ChannelGroup(name="layer2.0.conv1", width=64, members=("layer2.0.conv1",))
    limits = {
        "layer1.*": WidthLimit(multiple_of=16, min_width=32),
        "layer2.*": WidthLimit(min_keep=1.0),
    }
    given = {"multiple_of": 8, "min_keep": 0.25, "limits": limits}
    assert group_choices(stem, **given) == (32, 48, 64)
    assert group_choices(other, **given) == (64,)
