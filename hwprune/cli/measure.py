"""x"""

from __future__ import annotations


def measure() -> None:
    """x"""
