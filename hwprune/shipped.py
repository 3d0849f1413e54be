"""What comes with hwprune beside its code: profiles, example deployments and the pages on them."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped_profiles() -> Path:
    """The folder `profiles` of the project, or the copy of it that a wheel brings."""
    inside = _PACKAGE / "profiles"
    return inside if inside.is_dir() else _PACKAGE.parent / "profiles"
