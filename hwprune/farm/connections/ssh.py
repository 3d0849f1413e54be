"""A supervisor on a board that the user's own OpenSSH reaches."""

from __future__ import annotations

import shlex

from hwprune.board import Board
from hwprune.errors import BoardError
from hwprune.farm.connections.failure import explain
from hwprune.farm.connections.pipe import PipeConnection


class SshConnection(PipeConnection):
    """A supervisor at the other end of `ssh`, with the user's own config, keys and jump hosts."""

    def _command_line(self) -> list[str]:
        return ["ssh", *_options(self._board), "--", self._board.host, self._remote_command()]

    def _remote_command(self) -> str:
        """One line for the login shell there, whichever it is."""
        python = self._board.python or "python3"
        # A quoted ~ would stay one; $HOME is a variable of every shell.
        word = f'"$HOME"/{shlex.quote(python[2:])}' if python[:2] == "~/" else shlex.quote(python)
        # exec: no shell stays between ssh and Python, to outlive it or to change its exit code.
        return f"exec {word} {shlex.join(self._python_arguments())}"

    def _mend(self, stderr: str, exit_code: int | None) -> str:
        return explain(
            stderr,
            exit_code,
            host=self._board.host,
            python=self._board.python or "python3",
            options=self._board.ssh_options,
        )

    def _cannot_start(self, given: str) -> BoardError:
        return BoardError(
            f"board '{self._board.name}' cannot be reached: ssh cannot be started",
            given=given,
            next_step="install OpenSSH's client here (on Debian: apt install openssh-client)",
        )


def _options(board: Board) -> list[str]:
    """ssh takes the first value that it meets, so the user's come before those of ours."""
    ours = ["ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3"]
    # No terminal, which would change bytes; no questions, which nobody is there to answer.
    options = ["-T", "-o", "BatchMode=yes"]
    for option in (*board.ssh_options, *ours):
        # Whole words such as "-F/path/config" are ssh's own; the rest are values of -o.
        options += [option] if option.startswith("-") else ["-o", option]
    return options
