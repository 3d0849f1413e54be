"""Commands that mend a board, written out so that they can be pasted into a shell here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwprune.board_profile import table
from hwprune_device.runtimes import RuntimeFacts, facts_of

if TYPE_CHECKING:
    from hwprune.board import Board

PERFORMANCE = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
CUDA = "/usr/local/cuda"
SWAP = (
    "sudo fallocate -l 2G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile "
    "&& sudo swapon /swapfile"
)


def there(board: Board, command: str) -> str:
    """The command as it is typed on this machine to run on the board."""
    if board.connection != "ssh":
        return command
    options = "".join(f"-o {shlex.quote(option)} " for option in board.ssh_options)
    return f"ssh {options}{board.host} {shlex.quote(command)}"


def install(board: Board, survey: Mapping[str, Any], name: str, said: str) -> str:
    """The command that installs a package and what else is missing.

    Args:
        said: what importing the package gave; one that is there and broken is installed again.
    """
    about = table(survey, "python")
    python = str(about.get("executable", board.python or "python3"))
    runtime = facts_of(board.target.runtime)
    if name == runtime.system_package:
        return _of_system(board, runtime, about, python)
    needed = [n for n in runtime.packages if n != runtime.system_package]
    if about.get("externally_managed"):
        # Debian and its kin let pip install only into an environment of one's own.
        folder = f"{survey.get('home', '~')}/hwprune-python"
        # What is the system's own an environment sees when it is told to.
        sees = "--system-site-packages " if runtime.system_package else ""
        command = (
            f"{python} -m venv {sees}{folder} && {_pip(f'{folder}/bin/pip', needed, runtime)}"
        )
        return f'{there(board, command)}, and python = "{folder}/bin/python" in its profile'
    if said != "not installed":
        again = _pip(f"{python} -m pip", [name], runtime)
        return there(board, again.replace("install", "install --force-reinstall"))
    packages = table(survey, "packages")
    missing = [n for n in needed if not table(packages, n).get("imports")]
    return there(board, _pip(f"{python} -m pip", missing, runtime))


def lacking(runtime: str) -> str:
    """What a board may lack on which a runtime does not measure."""
    facts = facts_of(runtime)
    words = f"its Python needs {', '.join(facts.packages)}"
    if facts.pip_brings_all:
        # Others come with a system, or in a build for its driver.
        again = _pip("pip", facts.packages, facts)
        words += f": {again.replace('install', 'install --force-reinstall')}"
    return words


def _pip(pip: str, names: Sequence[str], runtime: RuntimeFacts) -> str:
    """pip's commands; pycuda is compiled there, with the compiler where JetPack puts it."""
    path = f"PATH=$PATH:{CUDA}/bin " if "pycuda" in names else ""
    whole = [runtime.pip_names.get(n, n) for n in names if n not in runtime.alone]
    alone = [name for name in names if name in runtime.alone]
    commands = [f"{path}{pip} install {' '.join(whole)}"] if whole else []
    commands += [f"{pip} install --no-deps {' '.join(alone)}"] if alone else []
    return " && ".join(commands)


def _of_system(board: Board, runtime: RuntimeFacts, about: Mapping[str, Any], python: str) -> str:
    """A package that comes with the system of some boards, for that system's own Python."""
    name = runtime.system_package
    # An environment sees the system's packages only where it was made to.
    if about.get("environment"):
        anew = there(board, "python3 -m venv --system-site-packages FOLDER")
        return f"{python} does not see the system's {name}; an environment that does: {anew}"
    system = there(board, runtime.system_install)
    elsewhere = there(board, f"{python} -m pip install {name}")
    return f"on {runtime.system}: {system}; elsewhere: {elsewhere}"
