"""A Ray cluster: one to join, whose nodes reach boards and score, or our own for RLlib."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from hwprune.errors import BoardError

_BOARD = "board:"
# Ray's own default is 30 % of the memory, which scorers here need.
_OBJECT_STORE_BYTES = 512 * 2**20
_REACH_S = 10.0
"""Ray itself would try for a minute and more."""
_LOCAL_ENVIRONMENT = {
    # Ray tells its makers about every start unless this is off.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    # Workers would run at nice 15, and a board's supervisor with them.
    "RAY_worker_niceness": "0",
    # Ray would hide GPUs from actors that reserve none, and warns that it does.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A single node on Linux binds its servers to every interface; told that it can have no further
    # nodes, which is what this variable says, it stays on loopback.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


class Cluster:
    """Ray, started or joined; use as a context manager or with `start` and `stop`.

    Args:
        address: of a running cluster; empty for one of our own on this machine, which listens on
            loopback alone and asks for a token.
    """

    def __init__(self, address: str = "") -> None:
        self._address = address
        self._ours = False

    def start(self) -> None:
        """Start or join; a Ray that this process already uses is taken as it is.

        Raises:
            BoardError: Ray cannot be started, or the cluster cannot be joined.
        """
        if not self._address:
            _prepare_environment()
        import ray

        if ray.is_initialized():
            return
        try:
            if self._address:
                _knock(self._address)
                ray.init(
                    address=self._address,
                    namespace="hwprune",
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            else:
                _start_local()
        except Exception as error:
            raise BoardError(
                "Ray cannot be joined" if self._address else "Ray cannot be started",
                given=f"{self._address} {type(error).__name__}: {error}".strip(),
                next_step="check the address, and that Python and Ray are the same versions there"
                if self._address
                else "check free memory, and space in the temporary folder",
            ) from error
        self._ours = True
        if caution := self.caution():
            warnings.warn(caution, stacklevel=2)

    def caution(self) -> str:
        """What is not protected in a cluster that reaches beyond this machine; else nothing."""
        import ray

        here = ("127.", "localhost", "::1")
        addresses = [node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]]
        far = [address for address in addresses if not address.startswith(here)]
        if not self._address or not far or os.environ.get("RAY_USE_TLS") == "1":
            return ""
        return (
            f"what the Ray nodes {', '.join(sorted(far))} tell each other is not encrypted; on a "
            "network that is not yours alone, join them through a tunnel (WireGuard, or ssh -w), "
            "or set RAY_USE_TLS=1 with certificates on every node"
        )

    def stop(self) -> None:
        """Leave the cluster, ending it when it is ours."""
        if self._ours:
            import ray

            self._ours = False
            ray.shutdown()

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def in_cluster(address: str) -> AbstractContextManager[object]:
    """Within it this process is in that cluster; nothing where the address is empty."""
    return Cluster(address) if address else nullcontext()


def _knock(address: str) -> None:
    """See that somebody listens at a cluster's address, so far as it is one of host and port.

    Raises:
        OSError: nobody does.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()


def _prepare_environment() -> None:
    for name, value in _LOCAL_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # A token for this run alone, so that none has to lie in a file.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    constants = sys.modules.get("ray._private.ray_constants")
    if constants is not None:
        # Ray was imported before and has read its environment: have it read once more.
        setattr(constants, "ENABLE_RAY_CLUSTER", False)  # noqa: B010
        sys.modules["ray._raylet"].Config.initialize("")


def _start_local() -> None:
    import ray

    ray.init(
        # Else a cluster that somebody else runs here, or left behind, would be joined.
        address="local",
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        namespace="hwprune",
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=_OBJECT_STORE_BYTES,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBoard:
    """A node of the cluster that says which board it is."""

    name: str
    address: str
    """The node's, as Ray knows it."""
    host: str
    """What the node calls itself."""


def board_resource(name: str) -> str:
    """The resource of the node that is the board `name`, as in `ray start --resources`."""
    return f"{_BOARD}{name}"


def gateway_resource(name: str) -> str:
    """The resource of a node that reaches the boards behind gateway `name`."""
    return f"gateway:{name}"


def node_boards() -> tuple[NodeBoard, ...]:
    """Boards among the living nodes of the cluster that this process has joined, by name."""
    import ray

    found = [
        NodeBoard(
            name=resource.removeprefix(_BOARD),
            address=str(node["NodeManagerAddress"]),
            host=str(node["NodeManagerHostname"]),
        )
        for node in ray.nodes()
        if node["Alive"]
        for resource in node["Resources"]
        if resource.startswith(_BOARD)
    ]
    return tuple(sorted(found, key=lambda board: (board.name, board.address)))
