"""The networks that benchmarks compare methods on, each by its deployment."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

from hwprune.deployment import Deployment, load_deployment
from hwprune.pipeline.prepare import Prepared, prepare
from hwprune.pipeline.supplies import Given, look_up
from hwprune.progress import Progress, Silent
from hwprune.run_folder import RunFolder

DEPLOYMENTS = Path(__file__).parents[2] / "profiles/deployments"
WEIGHTS = {
    "resnet20": "resnet20-12fca82f.th",
    "resnet32": "resnet32-d509ac18.th",
    "resnet44": "resnet44-014dd654.th",
    "resnet56": "resnet56-4bfd9763.th",
}
"""Of the trained CIFAR ResNets; all go by the deployment of ResNet-56."""
FILES = {"digits": "quickstart.toml", "bccd": "bccd/bccd.toml"}
NETWORKS = (*FILES, *WEIGHTS)
COMPARED = ("resnet20", "resnet56")
"""That most benchmarks compare methods on."""


def weights_of(network: str) -> str:
    """Where one of WEIGHTS lies."""
    return f"$HWPRUNE_DATA/akamaster_resnet_cifar10/{WEIGHTS[network]}"


def deployment_of(network: str, changes: Sequence[str] = ()) -> Deployment:
    """The deployment of one of NETWORKS, with changes as `--set` of the command line has them."""
    if network in FILES:
        return load_deployment(DEPLOYMENTS / FILES[network], changes)
    own = [
        f"network.source=hwprune.network.zoo:cifar_{network}",
        f"network.weights={weights_of(network)}",
    ]
    return load_deployment(DEPLOYMENTS / "cifar10-resnet56.toml", [*own, *changes])


def prepared_of(deployment: Deployment, folder: Path, progress: Progress) -> Prepared:
    """Trained, traced and ranked; what `folder` has of it is read back."""
    run = RunFolder.open(folder, {}, resume=folder.exists())
    try:
        return prepare(look_up(deployment, Given(), network=True), run, progress)
    finally:
        run.close()


@lru_cache(maxsize=1)
def prepared_once(network: str, changes: tuple[str, ...], folder: Path | None = None) -> Prepared:
    """For one process of several: a run folder is locked by the process that has it open.

    What `folder` has of it is read back and not changed.
    """
    with TemporaryDirectory() as scratch:
        own = Path(scratch) / "base"
        if folder is not None and folder.exists():
            copytree(folder, own)
        return prepared_of(deployment_of(network, changes), own, Silent())
