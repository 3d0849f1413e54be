"""What a search is offered."""

from __future__ import annotations

from hwprune.deployment import Deployment, NetworkSettings
from hwprune.pipeline.prepare import search_space
from hwprune.search_settings import SearchSettings
from hwprune.width_limit import WidthLimit
from tests.traced import traced


def choices(**search) -> dict[str, tuple[int, ...]]:
    deployment = Deployment(
        name="space",
        network=NetworkSettings(source="digits", trained=True),
        boards=(),
        budgets=(),
        search=SearchSettings(**search),
    )
    space = search_space(deployment, traced("digits_cnn").base)
    return {group.name: group.choices for group in space.groups}


def test_branches_may_go_as_a_whole_where_that_is_asked_for():
    assert not any(0 in widths for widths in choices().values())
    found = choices(branches=True)
    assert {name for name, widths in found.items() if widths[0] == 0} == {
        "block1.conv1",
        "block2.conv1",
    }
    assert found["block1.conv1"] == (0, *choices()["block1.conv1"])


def test_a_group_with_a_limit_of_its_own_keeps_to_it():
    found = choices(branches=True, limits={"block1.*": WidthLimit(min_width=16)})
    assert found["block1.conv1"][0] == 16 and found["block2.conv1"][0] == 0
