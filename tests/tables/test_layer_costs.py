"""Costs of layers learned from blocks: they add up to networks that were never measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwprune.tables.layer_costs import LayerCosts, Sample
from hwprune.tables.table import TableNetwork
from tests.tables.block_board import START, block_ms, network

COPIES = 3


def drawn(of: TableNetwork, count: int, seed: int) -> np.ndarray:
    chance = np.random.default_rng(seed)
    return np.stack([chance.choice(np.arange(4, w + 1, 4), count) for w in of.full], axis=1)


def sample(of: TableNetwork, count: int, seed: int, copies: int = 1) -> Sample:
    """Readings of so many copies beside each other; what a network costs beside its layers is
    once."""
    widths = drawn(of, count, seed)
    once = block_ms(of, widths)
    layers_alone = once - START
    noise = np.random.default_rng(seed + 100).normal(1, 0.005, count)
    return Sample(
        layers=of.layers,
        widths=widths,
        cost=(START + copies * layers_alone) * noise,
        copies=copies,
    )


def learned(of: TableNetwork) -> LayerCosts:
    """From blocks alone: one with its stream, in copies, and two beside each other."""
    costs = LayerCosts(of.layers, of.full)
    costs.fit(
        [
            sample(network([64]), 40, 1, COPIES),
            sample(network([48, 64]), 40, 2),
            sample(network([32], stream=32), 40, 3, COPIES),
        ]
    )
    return costs


def off(predicted: np.ndarray, true: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted / true - 1) ** 2)))


@pytest.mark.parametrize("inner", [[64, 48, 64], [64] * 9])
def test_blocks_tell_a_whole_network_and_a_deeper_strangers(inner):
    costs = learned(network([64, 48, 64]))
    stranger = network(inner)
    unseen = drawn(stranger, 100, 9)
    assert off(costs.predict(stranger.layers, unseen), block_ms(stranger, unseen)) < 0.05


def test_forms_of_a_network_are_what_it_is_predicted_by():
    own = network([64, 48])
    costs = learned(own)
    forms = costs.forms(own.layers)
    assert forms.start == costs.start and len(forms.of_layers) == len(own.layers)
    assert costs.start == pytest.approx(START, abs=0.03)


def test_layers_of_kinds_that_were_never_read_are_named():
    own = network([64])
    costs = learned(own)
    assert costs.unread(own.layers) == []
    wide = replace(own.layers[0], name="wide", kernel=25)
    deep = replace(own.layers[0], name="deep", grouped=True)
    assert costs.unread([own.layers[0], wide, deep]) == ["wide", "deep"]


def test_the_error_it_states_is_near_the_error_it_makes():
    own = network([64, 48, 64])
    costs = learned(own)
    fresh = network([64])
    unseen = drawn(fresh, 100, 11)
    made = off(costs.predict(fresh.layers, unseen), block_ms(fresh, unseen))
    assert 0.2 * made < costs.error < 0.1
