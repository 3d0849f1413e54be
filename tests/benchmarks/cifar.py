"""The trained CIFAR ResNets as benchmarks prepare them: by the deployment of ResNet-56."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hwprune.deployment import Deployment, load_deployment
from hwprune.pipeline.prepare import Prepared, prepare
from hwprune.pipeline.supplies import Given, look_up
from hwprune.progress import Progress, Silent
from hwprune.run_folder import RunFolder

DEPLOYMENT = Path(__file__).parents[2] / "profiles/deployments/cifar10-resnet56.toml"
WEIGHTS = {
    "resnet20": "resnet20-12fca82f.th",
    "resnet32": "resnet32-d509ac18.th",
    "resnet44": "resnet44-014dd654.th",
    "resnet56": "resnet56-4bfd9763.th",
}
COMPARED = ("resnet20", "resnet56")
"""That most benchmarks compare methods on."""


def deployment_of(network: str, changes: Sequence[str] = ()) -> Deployment:
    """The deployment of one of WEIGHTS, with changes as `--set` of the command line has them."""
    weights = f"$HWPRUNE_DATA/akamaster_resnet_cifar10/{WEIGHTS[network]}"
    own = [
        f"network.source=hwprune.network.zoo:cifar_{network}",
        f"network.weights={weights}",
    ]
    return load_deployment(DEPLOYMENT, [*own, *changes])


def prepared_of(deployment: Deployment, folder: Path, progress: Progress) -> Prepared:
    """Traced and ranked; what `folder` has of it is read back."""
    run = RunFolder.open(folder, {}, resume=folder.exists())
    try:
        return prepare(look_up(deployment, Given(), network=True), run, progress)
    finally:
        run.close()


@lru_cache(maxsize=1)
def prepared_once(network: str, changes: tuple[str, ...]) -> Prepared:
    """For one process of several: a run folder is locked by the process that has it open."""
    with TemporaryDirectory() as scratch:
        return prepared_of(deployment_of(network, changes), Path(scratch) / "base", Silent())
