"""A board that is reached by ssh, for tests: a real sshd on a network of its own."""

from __future__ import annotations

import getpass
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hwprune.board import Board

_ISLAND = Path(__file__).with_name("island.py")
_START_S = 10.0


def sshd_path() -> str | None:
    """OpenSSH's server, if it is installed; it must be started by its whole path."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def why_no_rig() -> str:
    """Why there can be no sshd here; empty when there can."""
    missing = [name for name in ("ssh", "ssh-keygen") if not shutil.which(name)]
    if not sshd_path():
        missing.append("sshd")
    return f"not installed: {', '.join(missing)}" if missing else ""


class SshRig:
    """An sshd with keys of its own, and what a user's ssh must know to reach it.

    As root it stands in its own network namespace, and the link to it can be cut and slowed
    (`has_link`); otherwise it listens on loopback.
    """

    def __init__(self, folder: Path, *server_lines: str) -> None:
        """`folder` is empty and takes keys, configuration and log.

        Args:
            server_lines: what the server's configuration says besides.
        """
        self.folder = folder
        self._server_lines = server_lines
        self.has_link = False
        for key in ("host_key", "user_key", "other_key"):
            self._keygen(folder / key)
        known = f"* {(folder / 'host_key.pub').read_text()}"
        (folder / "known_hosts").write_text(known)
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        self._process = self._start()
        self._await_server()

    def board(self, name: str = "far", *options: str, **fields: Any) -> Board:
        """A board whose host is the rig; `options` come before the rig's own -o options."""
        board = Board(
            name=name,
            kind=name,
            connection="ssh",
            ssh_options=(*options, *self.options),
            **{"host": self.host, "python": sys.executable, **fields},
        )
        return board

    @property
    def host(self) -> str:
        """USER@ADDRESS of the server."""
        return f"{getpass.getuser()}@{self.address}"

    @property
    def options(self) -> tuple[str, ...]:
        """What ssh must be told, without a look at the user's own files."""
        return (
            "-F/dev/null",
            f"Port={self.port}",
            f"UserKnownHostsFile={self.folder}/known_hosts",
            "GlobalKnownHostsFile=/dev/null",
            f"IdentityFile={self.folder}/user_key",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
        )

    def cut(self) -> None:
        """Carry no packets; neither end is told."""
        self._tell("cut")

    def mend(self) -> None:
        """Carry packets again."""
        self._tell("mend")

    def delay(self, ms: float, loss_pct: float = 0.0) -> None:
        """Make every packet late by `ms` in each direction and lose some."""
        self._tell(f"delay {ms} {loss_pct}")

    def close(self) -> None:
        """End the server and its sessions."""
        if self.has_link:
            self.mend()
        if self._process.stdin:
            self._process.stdin.close()
        else:
            self._process.terminate()
        self._process.wait(_START_S)

    def log(self) -> str:
        """What the server wrote."""
        return (self.folder / "log").read_text(errors="replace")

    def _keygen(self, path: Path) -> None:
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rig", "-f", str(path)]
        subprocess.run(words, check=True)

    def _start(self) -> subprocess.Popen[bytes]:
        if os.geteuid() == 0:
            # Where Debian's sshd locks itself up; its package's service would make it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
            island = self._start_island()
            if island is not None:
                return island
        self.address, self.port = "127.0.0.1", _free_port()
        return subprocess.Popen(self._server(), stdin=subprocess.DEVNULL)

    def _start_island(self) -> subprocess.Popen[bytes] | None:
        if not shutil.which("ip") or not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            return None
        # A range for tests of networks (RFC 2544), in pieces of four addresses.
        first = random.SystemRandom().randrange(2**15) * 4
        prefix = f"198.{18 + (first >> 16)}.{first >> 8 & 255}"
        head, self.address = (f"{prefix}.{(first & 255) + n}" for n in (1, 2))
        self.port = 22
        with (self.folder / "island_log").open("wb") as log:
            island = subprocess.Popen(
                [
                    sys.executable,
                    str(_ISLAND),
                    f"{head}/30",
                    f"{self.address}/30",
                    *self._server(),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert island.stdout
        self.has_link = island.stdout.readline() == b"ready\n"
        return island if self.has_link else None

    def _server(self) -> list[str]:
        lines = [
            f"ListenAddress 0.0.0.0:{self.port}" if self.port == 22 else f"Port {self.port}",
            f"HostKey {self.folder}/host_key",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "MaxStartups 100",
            *self._server_lines,
        ]
        config = self.folder / "sshd_config"
        config.write_text("\n".join(lines) + "\n")
        return [str(sshd_path()), "-D", "-f", str(config), "-E", str(self.folder / "log")]

    def _await_server(self) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                socket.create_connection((self.address, self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"sshd does not listen:\n{self.log()}") from None
                time.sleep(0.02)

    def _tell(self, line: str) -> None:
        if not self.has_link:
            raise RuntimeError("the rig has no link of its own: it needs root and iproute2")
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()
        self._process.stdout.readline()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
