"""How all tests with many inputs are run."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadlines: on a machine that others use, a slow example says nothing. Where CI is set the
# examples are the same each time, so that what lands does not hang on luck; elsewhere new ones
# are looked for.
settings.register_profile("hwprune", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("hwprune")
