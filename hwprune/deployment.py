"""The deployment, read from a TOML file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from hwprune.board_folder import THIS_MACHINE, find_profile, is_path, no_such_board
from hwprune.budget import Budget
from hwprune.budget_settings import parse_budgets
from hwprune.data_settings import DataSettings
from hwprune.errors import DeploymentError
from hwprune.file_name import file_name
from hwprune.floor import parse_floor
from hwprune.number import Amount, Positive
from hwprune.recipe import Recipe
from hwprune.search_settings import SearchSettings
from hwprune.task_settings import TaskSettings
from hwprune.toml_file import FORBID_UNKNOWN, overridden, read_toml, validate


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Where the network comes from."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    source: str
    """`torchvision:NAME[:WEIGHTS or none]`, `package.module:function`, or an .onnx file."""
    weights: str = ""
    """A .safetensors or .pth file; empty: trained first, unless the source has weights."""
    trained: bool = False
    """The source gives a network that already has its weights, so nothing is trained first."""
    input: tuple[Positive, ...] = ()
    """Input shape N C H W; empty: taken from the data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSettings:
    """Where networks are measured: one board, or several."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    profile: str = ""
    """A board's name, or the path of its profile; `this-machine` needs none."""
    profiles: tuple[str, ...] = ()
    """Several instead. Those of one kind share the work; each kind has the budget to keep."""
    latency_of: Literal["typical", "slowest"] = "typical"
    """Whose latency counts where a kind has more boards than one."""
    cluster: str = ""
    """Address of the Ray cluster to join, `auto` for the one that runs here; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """How the delivered network is checked."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    certificate_readings: Positive = 5
    """Fresh readings behind the certificate."""
    tolerance: Amount | None = None
    """Largest relative difference between torch, ONNX and the boards; left out: as the precision
    of each board allows."""


USUAL: dict[str, dict[str, Any]] = {
    "training": {"epochs": 30, "lr": 0.1},
    "finetune": {"distillation": 0.5},
}
"""What recipes of these sections say where the deployment does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A whole deployment."""

    name: str
    network: NetworkSettings
    task: TaskSettings = field(default_factory=TaskSettings)
    data: DataSettings | None = None
    """None where the task has inputs of its own."""
    boards: tuple[Path, ...]
    """Board profiles, or `this-machine`, which needs none. Those of one kind share the work; each
    kind has the budget to keep."""
    budgets: tuple[Budget, ...]
    """A network is delivered for each."""
    search: SearchSettings = field(default_factory=SearchSettings)
    training: Recipe = field(default_factory=lambda: Recipe(**USUAL["training"]))
    finetune: Recipe = field(default_factory=lambda: Recipe(**USUAL["finetune"]))
    certificate_readings: int = 5
    """Fresh readings behind the certificate."""
    cluster: str = ""
    """Address of the Ray cluster to join, "auto" for the one that runs here; empty: none."""
    nominal: Literal["typical", "slowest"] = "typical"
    """Whose latency counts where a kind has more boards than one."""
    tolerance: float | None = None
    """Largest relative difference between torch, ONNX and the boards at delivery; None: as the
    precision of each board allows."""

    @property
    def limits(self) -> Budget:
        """Every constraint of every budget: what boards have to measure."""
        return Budget(constraints=tuple(c for b in self.budgets for c in b.constraints))


def load_deployment(path: Path, overrides: Sequence[str] = ()) -> Deployment:
    """Read a deployment file; `overrides` are `section.key=value`, values in TOML.

    Raises:
        DeploymentError: the file is missing, is no TOML, or says something that cannot be.
    """
    data = read_toml(path, what="deployment")
    name = file_name(path.stem)
    return parse_deployment(overridden(data, overrides), name=name, folder=path.parent)


def parse_deployment(data: Mapping[str, Any], *, name: str, folder: Path) -> Deployment:
    """A deployment from plain data; relative paths start at `folder`.

    Raises:
        DeploymentError: a key is unknown or missing, or a value cannot be.
    """
    content = dict(data)
    needed = ("network", "task", "data", "board", "budget")
    sections = (*needed, "search", "training", "finetune", "delivery")
    unknown = [key for key in content if key not in sections]
    missing = [key for key in ("network", "board", "budget") if key not in content]
    if "task" not in content and "data" not in content:
        # The message below puts brackets around it: no [data] and no [task].
        missing.append("data] and no [task")
    if unknown or missing:
        raise DeploymentError(
            f"{name}: unknown section [{unknown[0]}]" if unknown else f"{name}: no [{missing[0]}]",
            possible=", ".join(f"[{s}]" for s in sections),
            next_step="compare it with what `hwprune init` writes",
        )
    network = validate(NetworkSettings, content["network"], where=f"{name} [network]")
    network = _with_paths(network, folder)
    board = validate(BoardSettings, content["board"], where=f"{name} [board]")
    delivery = validate(DeliverySettings, content.get("delivery", {}), where=f"{name} [delivery]")
    return Deployment(
        name=name,
        network=network,
        task=_task(content.get("task", {}), folder, where=f"{name} [task]"),
        data=_data(content["data"], folder, where=f"{name} [data]") if "data" in content else None,
        boards=_profiles(board, folder, where=f"{name} [board]"),
        cluster=board.cluster,
        nominal=board.latency_of,
        budgets=parse_budgets(content["budget"], where=f"{name} [budget]"),
        search=validate(SearchSettings, content.get("search", {}), where=f"{name} [search]"),
        training=_recipe(content, "training", where=name),
        finetune=_recipe(content, "finetune", where=name),
        certificate_readings=delivery.certificate_readings,
        tolerance=delivery.tolerance,
    )


def _recipe(content: Mapping[str, Any], section: str, where: str) -> Recipe:
    """A recipe from its section, and what is usual where it says nothing."""
    told = content.get(section, {})
    whole = {**USUAL[section], **told} if isinstance(told, Mapping) else told
    return validate(Recipe, whole, where=f"{where} [{section}]")


def _profiles(settings: BoardSettings, folder: Path, *, where: str) -> tuple[Path, ...]:
    """The board profiles of a deployment."""
    if bool(settings.profile) == bool(settings.profiles):
        raise DeploymentError(
            f"{where} needs profile, or profiles",
            given=f"profile = {settings.profile!r}, profiles = {list(settings.profiles)}",
            possible='profile = "pi.toml", or profiles = ["pi-1.toml", "pi-2.toml"]',
        )
    return tuple(_profile(one, folder) for one in settings.profiles or (settings.profile,))


def _profile(named: str, folder: Path) -> Path:
    """A board's profile: a file, or a board that is known by its name.

    Raises:
        DeploymentError: nobody knows the name.
    """
    if is_path(named):
        return _resolve(named, folder)
    path = find_profile(named)
    if path is not None:
        # Absolute, because a run compares its settings when it is resumed, from whatever folder.
        return path.resolve()
    if named == THIS_MACHINE:
        return Path(THIS_MACHINE)
    raise no_such_board(named)


def _task(data: Any, folder: Path, *, where: str) -> TaskSettings:
    """The [task] section; names of files start at `folder`.

    Raises:
        DeploymentError: a key is unknown, or the floor cannot be read.
    """
    settings = validate(TaskSettings, data, where=where)
    parse_floor(settings.at_least)
    functions = ("source", "score", "train", "loss", "batches")
    found: dict[str, Any] = {name: placed(getattr(settings, name), folder) for name in functions}
    inputs = settings.inputs
    # Files; with a colon it is a function by name.
    if inputs and ":" not in inputs:
        inputs = str(_resolve(inputs, folder))
    return replace(settings, **found, inputs=placed(inputs, folder))


def _data(data: Any, folder: Path, *, where: str) -> DataSettings:
    settings = validate(DataSettings, data, where=where)
    kind, colon, path = settings.source.partition(":")
    if kind == "imagefolder" and colon:
        return replace(settings, source=f"{kind}:{_resolve(path, folder)}")
    return replace(settings, source=placed(settings.source, folder))


def placed(source: str, folder: Path) -> str:
    """`file.py:function` with its file found from anywhere; other names as they are.

    The file is looked for beside the deployment, then in the working folder.
    """
    place, colon, name = source.rpartition(":")
    if not place.endswith(".py"):
        return source
    beside = _resolve(place, folder)
    here = Path(place).resolve()
    return f"{here if not beside.is_file() and here.is_file() else beside}{colon}{name}"


def _with_paths(network: NetworkSettings, folder: Path) -> NetworkSettings:
    weights = str(_resolve(network.weights, folder)) if network.weights else ""
    source = placed(network.source, folder)
    if source.endswith(".onnx"):
        source = str(_resolve(source, folder))
    return replace(network, weights=weights, source=source)


def _resolve(path: str, folder: Path) -> Path:
    expanded = Path(os.path.expandvars(path)).expanduser()
    return expanded if expanded.is_absolute() else (folder / expanded).resolve()
