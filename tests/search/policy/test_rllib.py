"""The policy is refused where Ray is too old for it, and told what would do."""

from __future__ import annotations

import importlib.util
from importlib import metadata

import pytest

from hwprune.errors import InputError
from hwprune.search.policy.rllib import expect_rllib


@pytest.mark.parametrize("version", ["2.53.0", "2.60.0", "3.0.0rc1"])
def test_a_ray_that_will_do_is_taken(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: version)
    expect_rllib()


@pytest.mark.parametrize("version", ["2.9.3", "2.52.1"])
def test_an_older_one_is_refused_by_its_version(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: version)
    with pytest.raises(InputError) as caught:
        expect_rllib()
    assert caught.value.given == f"ray {version}"
    assert "2.53" in caught.value.possible and "'ray[rllib]>=2.53'" in caught.value.next_step


def test_ray_without_rllib_is_told_the_rllib_of_its_own_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "2.55.1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "ray" or None)
    with pytest.raises(InputError) as caught:
        expect_rllib()
    assert "without RLlib" in caught.value.given
    assert "'ray[rllib]==2.55.1'" in caught.value.next_step
