"""Steps of a table: what tells most comes first, and what is held out is never learned from."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune.tables.steps import ROUND, ROUNDS, few_steps_of, spread, steps_of

WIDE = [tuple(range(4, 65, 4))] * 4
groups = st.lists(
    st.sets(st.integers(1, 64), min_size=1, max_size=8).map(lambda s: tuple(sorted(s))),
    min_size=1,
    max_size=3,
)


def of_role(steps, role):
    return [w for step in steps if step.role == role for w in step.candidates]


@settings(max_examples=10)
@given(groups, st.integers(2, 60), st.integers(0, 5))
def test_what_is_held_out_is_never_learned_from(own, held_out, seed):
    full = tuple(group[-1] for group in own)
    for steps in (
        steps_of(own, [own[:1]], held_out=held_out, seed=seed),
        few_steps_of(own, 30, held_out=held_out, seed=seed),
    ):
        unseen, learned = of_role(steps, "held out"), of_role(steps, "network")
        assert len(set(unseen)) == len(unseen) <= held_out
        assert not set(unseen) & set(learned)
        # The unpruned network is always read first, and learned from.
        assert full not in unseen
        assert all(step.candidates for step in steps)


@settings(max_examples=5)
@given(groups, groups, st.integers(0, 5))
def test_all_candidates_are_of_the_choices(own, block, seed):
    for step in steps_of(own, [block], held_out=10, seed=seed):
        allowed = block if step.network else own
        for widths in step.candidates:
            assert len(widths) == len(allowed)
            assert all(w in group for w, group in zip(widths, allowed, strict=True))


def test_the_same_seed_gives_the_same_steps_and_another_one_others():
    first, again, other = (steps_of(WIDE, [WIDE], held_out=20, seed=seed) for seed in (3, 3, 4))
    assert first == again != other


def test_ending_after_any_step_leaves_something_to_learn_from():
    steps = steps_of(WIDE, [WIDE[:2], WIDE[1:]], held_out=20, seed=0)
    assert steps[0].role == "network"
    # Its error is known early; then every block is read before most whole networks.
    assert steps[1].role == "held out" and len(steps[1].candidates) == 10
    assert {step.network for step in steps[:4]} == {0, 1, 2}
    assert len(of_role(steps, "held out")) == 20
    assert len(of_role(steps, "network")) == 100
    blocks = [step for step in steps if step.role == "block"]
    assert sum(len(step.candidates) for step in blocks) == 2 * ROUND * ROUNDS


def test_a_few_readings_are_as_many_as_were_asked_for():
    steps = few_steps_of(WIDE, 12, held_out=8, seed=0)
    assert (len(of_role(steps, "network")), len(of_role(steps, "held out"))) == (12, 8)


@pytest.mark.parametrize("own", [[(4, 8)], [(8,)], [(4, 8), (4, 8)], [(1, 2, 3)] * 2])
def test_a_small_space_ends_and_most_of_it_is_learned_from(own):
    steps = steps_of(own, [own], held_out=50, seed=0)
    learned = {*of_role(steps, "network"), tuple(group[-1] for group in own)}
    unseen = of_role(steps, "held out")
    assert {*learned, *unseen} <= set(product(*own))
    assert len(unseen) <= len(learned)
    assert len(of_role(steps, "block")) == len(set(product(*own)))


def test_a_blocks_candidates_begin_with_its_ends_and_lie_apart():
    found = spread([(4, 8, 12, 16)] * 2, 8, seed=0)
    assert found[:2] == [(16, 16), (4, 4)]
    assert len(set(found)) == 8
    for group in (0, 1):
        assert {widths[group] for widths in found} == {4, 8, 12, 16}


def test_a_block_without_groups_is_read_once_as_it_is():
    assert spread([], 8, seed=0) == [()]
    steps = steps_of(WIDE, [[]], held_out=4, seed=0)
    assert of_role(steps, "block") == [()]
