"""A worker's process somewhere in a Ray cluster: an actor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ray
from ray.exceptions import RayActorError

from hwprune.workers.process import Event, Process, head_paths
from hwprune.workers.process_worker import ProcessDiedError


class RayHost:
    """Starts an actor, which Ray ends when this process does.

    Args:
        factory: "package.module:callable", called there with `arguments` by name.
        arguments: a Ray object: plain data, numpy arrays, bytes.
        cpus: of the cluster, that it is counted for.
    """

    def __init__(self, factory: str, arguments: Any, cpus: int) -> None:
        self._wanted = (factory, arguments)
        self._actor: Any = ray.remote(Process).options(num_cpus=cpus).remote([], head_paths())

    def prepare(self) -> str:
        """See `Host.prepare`."""
        try:
            return str(ray.get(self._actor.prepare.remote(*self._wanted)))
        except RayActorError as error:
            raise ProcessDiedError(str(error)) from error

    def call(self, item: Any) -> Iterator[Event]:
        """See `Host.call`."""
        try:
            # Each event as it is made, not all of them after the answer.
            for event in self._actor.call.options(num_returns="streaming").remote(item):
                yield ray.get(event)
        except RayActorError as error:
            raise ProcessDiedError(str(error)) from error

    def end(self) -> None:
        """See `Host.end`."""
        # A pool may be closed after its cluster was left, which has ended the actor.
        if ray.is_initialized():
            ray.kill(self._actor)
