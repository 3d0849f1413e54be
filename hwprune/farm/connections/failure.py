"""Why a board does not answer and what to do about it, from what ssh and Python wrote."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

SSH_FAILED = 255
"""ssh leaves with this when it fails itself, and when a signal ended the remote command."""
# As POSIX has shells leave with.
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_SSH_PORT = "22"
_BY_JUMP = re.compile("UNKNOWN port 65535|stdio forwarding failed")
"""Said by an ssh whose way is another program, which has ended."""
_OF_OUTER = "UNKNOWN port 65535|^kex_exchange_identification|^stdio forwarding failed"
_NAMED_HOST = (
    r"^(\S+@\S+): permission denied|connect to host (\S+) port|could not resolve hostname (\S+):"
    r"|host key for (\S+) has changed|host key is known for (\S+)"
)
# A start-up file that reads stdin takes a piece of the zip file away.
_TORN_PACKAGE = "ZipImportError|zlib.error|No module named 'hwprune_device"
_OF_PYTHON = "Traceback|a board needs Python|Python.* error"
"""What is written only by a Python that has begun."""

# In this order: a changed key is also one that failed to be verified.
_SSH_WORDS = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key of {host} is not the one that ssh remembers: if it was set up anew, "
        "forget the old key with `ssh-keygen -R {known_as}` and run `ssh {login}` once by hand; "
        "if not, somebody may stand in between",
    ),
    (
        "host key verification failed|no .* host key is known",
        "the host key of {host} is not known yet: run `ssh {login}` once by hand and accept it",
    ),
    (
        "unprotected private key file|bad permissions",
        "ssh refuses a private key that others may read: `chmod 600` the key file",
    ),
    (
        "too many authentication failures",
        "{host} gave up after too many keys: name the right one with ssh_options = "
        '["IdentitiesOnly=yes", "IdentityFile=~/.ssh/KEY"] in the board\'s profile',
    ),
    (
        r"permission denied \(",
        "{host} does not accept our key: run `ssh-copy-id {login}`, or `ssh-add` when the key has "
        "a passphrase; no password is asked for here",
    ),
    (
        "could not resolve hostname",
        "the name of {host} is unknown: look for a typing error in host, or add the Host to "
        "~/.ssh/config",
    ),
    (
        "connection refused",
        "{host} is there, but no ssh server listens at that port: start sshd on the board, or "
        'say the port with ssh_options = ["Port=..."]',
    ),
    (
        "kex_exchange_identification|unable to negotiate",
        "{host} ends the connection before it is one: does `ssh {login}` work by hand?",
    ),
    (
        "timeout, server .* not responding|broken pipe|connection reset|connection to .* closed"
        "|closed by|mux_client_.*failed",
        "the link to {host} broke: look at the board's power and network",
    ),
    (
        "timed out",
        "{host} does not answer: is the board on, in this network, and not behind a firewall?",
    ),
    (
        "no route to host|network is unreachable",
        "no way leads to {host}: is this machine in the board's network, or is a ProxyJump "
        "missing in ~/.ssh/config?",
    ),
    (
        "bad configuration option|command-line: line|command-line line|unknown option",
        "ssh does not understand its options: look at ssh_options in the board's profile",
    ),
)


def explain(
    stderr: str,
    exit_code: int | None,
    *,
    host: str,
    python: str = "python3",
    options: Sequence[str] = (),
) -> str:
    """What the end of an ssh command means and what to do; empty when nothing is known.

    Args:
        exit_code: None while it still runs.
        options: the ssh_options of the board's profile, which may name a port.
    """
    if exit_code in (_NOT_FOUND, _NOT_EXECUTABLE):
        what = "was not found" if exit_code == _NOT_FOUND else "cannot be run"
        return (
            f"the Python '{python}' {what} on {host}: install Python 3.10 or newer there, or set "
            "python in the board's profile to the whole path of one"
        )
    if exit_code == SSH_FAILED:
        if _BY_JUMP.search(stderr):
            return _jump_failed(stderr, host)
        words = _what_ssh_says(stderr, host, _port(options))
        return words or f"the supervisor was killed on {host}, or the link to it broke"
    if re.search(_TORN_PACKAGE, stderr):
        return _startup_file("read a part of what was meant for the board's Python")
    return missing_module(stderr)


def ended_before_python(end: str, exit_code: int | None, stderr: str) -> str:
    """`end`, of a remote command that has sent nothing, and why it came where that is known."""
    # Python has written why itself, or `explain` knows from ssh's exit code.
    told = exit_code in (None, SSH_FAILED, _NOT_FOUND, _NOT_EXECUTABLE)
    if told or re.search(_OF_PYTHON, stderr):
        return end
    did = f"ended the shell, with exit code {exit_code}, before the board's Python had begun"
    return f"{end}; {_startup_file(did)}"


def silent_before_python(silent: str) -> str:
    """`silent`, of a remote command that has sent nothing yet, and why it probably is."""
    did = "waits, or has read what was meant for the board's Python, which did not begin"
    return f"{silent}; {_startup_file(did)}"


def _startup_file(did: str) -> str:
    return (
        f"a start-up file of the account there (such as ~/.bashrc or ~/.zshenv) probably {did}: "
        "let it do nothing where no terminal is, as `case $- in *i*) ;; *) return ;; esac` at its "
        "start does in bash"
    )


def missing_module(stderr: str) -> str:
    """What to do when the board's Python lacks a package; empty when that is not the matter."""
    found = re.search(r"No module named '((?!hwprune_device)[\w.]+)'", stderr)
    if found is None:
        return ""
    return (
        f"the board's Python has no {found[1]}: install numpy, onnx and a runtime for it, or set "
        "python in the board's profile to one that has them"
    )


def _what_ssh_says(stderr: str, host: str, port: str = "") -> str:
    """What to do about the first thing in ssh's output that is known; empty when nothing is."""
    for pattern, words in _SSH_WORDS:
        if re.search(pattern, stderr, re.IGNORECASE):
            login = f"-p {port} {host}" if port else host
            return words.format(host=host, login=login, known_as=_known_as(stderr, host, port))
    return ""


def _known_as(stderr: str, host: str, port: str) -> str:
    """What the host is called among the known ones, as ssh itself says; for a shell."""
    said = re.search(r"host key for (\S+) has changed", stderr, re.IGNORECASE)
    address = host.rpartition("@")[2]
    # A host at another port than 22 is remembered with it, in brackets.
    name = said[1] if said else f"[{address}]:{port}" if port else address
    file = re.search(r"Offending \S+ key in (.+):\d+", stderr)
    # ssh-keygen finds the user's own file by itself.
    if file is None or file[1].endswith("/.ssh/known_hosts"):
        return shlex.quote(name)
    return f"{shlex.quote(name)} -f {shlex.quote(file[1])}"


def _port(options: Sequence[str]) -> str:
    """The port that a profile's options name, where it is not ssh's own."""
    for option in options:
        # Port=2222, -oPort=2222 or -p2222.
        found = re.fullmatch(r"(?:-o\s*)?port\s*[=\s]\s*(\d+)|-p\s*(\d+)", option, re.IGNORECASE)
        if found is not None:
            port = found[1] or found[2]
            return "" if port == _SSH_PORT else port
    return ""


def _jump_failed(stderr: str, host: str) -> str:
    """What to do where another ssh, to a jump host, failed on the way to the board."""
    # What the ssh to the board itself says then is only that its way ended.
    said = "\n".join(line for line in stderr.splitlines() if not re.search(_OF_OUTER, line))
    if found := re.search("open failed: (.+)", said):
        return (
            f"the jump host does not lead to {host} ({found[1]}): is the board on, does its ssh "
            "server listen at that port, and does the jump host allow forwarding?"
        )
    found = re.search(_NAMED_HOST, said, re.IGNORECASE | re.MULTILINE)
    name = next(filter(None, found.groups())) if found else "JUMPHOST"
    words = _what_ssh_says(said, name) or "it gave no reason that is known"
    return (
        f"the jump host on the way to {host} failed, not the board: {words}; what a jump host "
        "needs, such as a port or a key, is said in ~/.ssh/config"
    )
