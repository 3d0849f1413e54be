"""The search space offers what can be cut, and its points stay inside it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwprune.candidate import GroupChoice, SearchSpace
from hwprune.width_limit import width_choices


@given(
    widths=st.lists(st.integers(8, 64), min_size=1, max_size=6),
    keep=st.floats(0.0, 1.0),
)
def test_a_uniform_cut_takes_the_nearest_allowed_width_everywhere(widths, keep):
    space = SearchSpace(
        groups=tuple(
            GroupChoice(
                name=str(i), width=w, choices=width_choices(w, multiple_of=4, min_keep=0.1)
            )
            for i, w in enumerate(widths)
        )
    )
    candidate = space.uniform(keep)
    for group, width in zip(space.groups, candidate.widths, strict=True):
        assert width in group.choices
        assert abs(width - keep * group.width) == min(
            abs(c - keep * group.width) for c in group.choices
        )


def test_the_ends_of_the_space_are_the_unpruned_and_the_smallest_network():
    space = SearchSpace(groups=(GroupChoice(name="a", width=16, choices=(4, 8, 16)),))
    assert space.unpruned.widths == (16,)
    assert space.smallest.widths == (4,)
    assert space.size == 3


def test_the_unpruned_network_is_whole_where_the_widest_candidate_is_not():
    space = SearchSpace(
        groups=(
            GroupChoice(name="free", width=16, choices=(4, 8, 16)),
            GroupChoice(name="fixed", width=32, choices=(12,)),
        )
    )
    assert space.unpruned.widths == (16, 32)
    assert space.widest.widths == (16, 12) and space.smallest.widths == (4, 12)
    assert space.uniform(1.0) == space.widest
