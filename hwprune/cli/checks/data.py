"""The doctor's look at data: what the quickstart and the CIFAR deployments need."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from hwprune.cli.checks.check import Check

CIFAR10 = "cifar-10-batches-py"


def sklearn_digits() -> Check:
    """The digits of the quickstart, which ship inside scikit-learn."""
    try:
        images = importlib.import_module("sklearn.datasets").load_digits().images
    except Exception as error:  # a broken installation raises anything
        return Check(
            name="sklearn:digits",
            state="fail",
            found=f"{type(error).__name__}: {error}",
            mend="pip install --force-reinstall scikit-learn",
        )
    return Check(name="sklearn:digits", state="ok", found=f"{len(images)} images, ready")


def torchvision_data(root: Path | None = None) -> Check:
    """torchvision, and whether CIFAR-10 is already on disk."""
    try:
        version = importlib.import_module("torchvision").__version__
    except Exception as error:  # a build for another torch fails with a RuntimeError
        return Check(
            name="torchvision",
            state="fail",
            found=f"{type(error).__name__}: {error}",
            mend="install the torchvision that belongs to your torch",
        )
    folder = root or Path(os.path.expanduser("~/.cache/hwprune/data"))
    if (folder / CIFAR10).is_dir():
        return Check(
            name="torchvision", state="ok", found=f"torchvision {version}; CIFAR-10 in {folder}"
        )
    return Check(
        name="torchvision",
        state="ok",
        found=f"torchvision {version}; CIFAR-10 is not in {folder} (fetched when first wanted, "
        "or set data.root)",
    )
