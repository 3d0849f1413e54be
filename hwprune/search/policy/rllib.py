"""Which Ray the policy can learn with: nothing else here needs RLlib."""

from __future__ import annotations

import importlib.util
from importlib import metadata

from hwprune.errors import InputError

OLDEST = (2, 53)
"""Before it RLlib neither makes several environments at once nor lets learners price rewards where
it does now (`.ci/versions`)."""
_PARTS = ("ray", "gymnasium", "tree")
"""What `ray[rllib]` brings and `ray` alone does not, and Ray."""


def expect_rllib() -> None:
    """See that this environment's Ray has an RLlib that the policy can learn with.

    Raises:
        InputError: it is too old, or not there.
    """
    oldest = ".".join(map(str, OLDEST))
    try:
        found = metadata.version("ray")
    except metadata.PackageNotFoundError:
        found = ""
    release = tuple(int(part) for part in found.split(".")[:2]) if found else ()
    if release >= OLDEST and all(importlib.util.find_spec(part) for part in _PARTS):
        return
    wanted = found if release >= OLDEST else ""
    raise InputError(
        "the policy cannot learn with this Ray",
        given=f"ray {found}, without RLlib" if wanted else f"ray {found or 'not installed'}",
        possible=f'Ray {oldest} or newer with RLlib; or search.methods = ["model", "uniform"], '
        "which needs none",
        next_step=f"pip install 'ray[rllib]{f'=={wanted}' if wanted else f'>={oldest}'}'",
    )
