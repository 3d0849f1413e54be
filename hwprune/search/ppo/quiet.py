"""RLlib and gymnasium warn of things a user can do nothing about: kept off the terminal."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

import gymnasium as gym

LOGGERS = ("ray", "ray.rllib", "ray.tune", "gymnasium")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Errors only, from Ray's libraries, while building."""
    # gymnasium warns through its own switch, at every step of an environment.
    gym.logger.min_level = gym.logger.ERROR
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
