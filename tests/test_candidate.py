"""The search space offers what can be cut, and its points stay inside it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwprune.candidate import GroupChoice, SearchSpace, width_choices


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
