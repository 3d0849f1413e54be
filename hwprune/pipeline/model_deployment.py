"""A deployment for somebody who has a network and inputs, and writes no file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwprune.errors import DeploymentError

IMITATION = {"epochs": 3, "least_steps": 400, "batch_size": 16, "lr": 0.01}
"""The recipe of fine-tuning on a few inputs; --set finetune.… changes it."""


def deployment_of_model(
    model: str,
    *,
    inputs: str,
    data: str,
    limits: Mapping[str, str],
    board: str,
    shape: str,
    images: Mapping[str, str],
    at_least: str,
) -> dict[str, Any]:
    """What a deployment file would say, as plain data.

    Args:
        model: as `network.source`.
        inputs: as `task.inputs`; or `data`, as `data.source`.
        limits: by quantity; empty ones are left out.
        shape: of the input, with an x between sizes.
        images: `mean`, `std` and `layout` of image files.

    Raises:
        DeploymentError: nothing to feed it with, or two things; no limit, or numbers that are
            none.
    """
    budget = _budgets({quantity: limit for quantity, limit in limits.items() if limit})
    if not inputs and not data:
        raise DeploymentError(
            "nothing says what the network is fed",
            given=model,
            possible="--inputs 'frames/*.png', --data SOURCE, or a deployment file (.toml)",
            next_step=f"hwprune prune {model} --inputs 'frames/*.png' --latency '50 %'",
        )
    if inputs and data:
        raise DeploymentError(
            "inputs and data say twice what the network is fed",
            given=f"--inputs {inputs} --data {data}",
            possible="one of them: --data has labels, --inputs has none",
        )
    if not budget:
        raise DeploymentError(
            "no limit is given", given=model, possible="--latency '8 ms', --latency '50 %'"
        )
    task: dict[str, Any] = {"inputs": inputs} if inputs else {}
    pixels = {key: _numbers(key, images[key]) for key in ("mean", "std") if images[key]}
    if inputs:
        task |= pixels | ({"layout": images["layout"]} if images["layout"] else {})
    task |= {"at_least": _number_or_text(at_least)} if at_least else {}
    network: dict[str, Any] = {"source": model, "trained": True}
    if shape:
        network["input"] = _sizes(shape)
    content: dict[str, Any] = {
        "network": network,
        "task": task,
        "board": {"profile": board},
        "budget": budget,
    }
    if inputs:
        content["finetune"] = dict(IMITATION)
    return content | ({"data": {"source": data, **pixels}} if data else {})


def _budgets(limits: Mapping[str, str]) -> Any:
    """One budget, or as many as limits have commas: `70 %,50 %` are two.

    Raises:
        DeploymentError: quantities that name different numbers of limits.
    """
    parts = {q: [part.strip() for part in text.split(",")] for q, text in limits.items()}
    counts = {len(each) for each in parts.values()} - {1}
    if len(counts) > 1:
        raise DeploymentError(
            "limits with commas name one for each network, so there must be as many of each",
            given="; ".join(f"{quantity}: {text}" for quantity, text in limits.items()),
        )
    count = counts.pop() if counts else 1
    rows = [{q: each[n % len(each)] for q, each in parts.items()} for n in range(count)]
    return rows[0] if len(rows) == 1 else rows


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split("x")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise DeploymentError("--input is no shape", given=text, possible="1x3x224x224")
    return sizes


def _numbers(key: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise DeploymentError(
            f"--{key} is no list of numbers", given=text, possible="0.485,0.456,0.406"
        ) from None


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
