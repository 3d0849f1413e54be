"""Options of the torch runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwprune_device.runtimes.option_error import OptionError
from hwprune_device.runtimes.option_table import OptionTable

_CUDA_ONLY = (("mode", "cuda_graph"), ("latency", "device"), ("cudnn_benchmark", True))


def _exclude(whole: Mapping[str, Any], threads: int, precision: str) -> None:
    if whole["device"] != "cpu":
        return
    for name, value in _CUDA_ONLY:
        if whole[name] == value:
            written = f"{name} = {str(value).lower()}"
            raise OptionError(
                f"option {written} needs a GPU",
                given=f"{written}, device = cpu",
                possible=f'device = "cuda", or another {name}',
            )
    if precision == "tf32":
        raise OptionError(
            "tf32 is a number type of GPUs",
            given="precision = tf32, device = cpu",
            possible='device = "cuda", or precision fp32, bf16, fp16',
        )


TORCH = OptionTable(
    runtime="torch",
    precisions=("fp32", "tf32", "fp16", "bf16"),
    defaults={
        "mode": "eager",
        "device": "auto",
        "latency": "host",
        "channels_last": False,
        "fold_batchnorm": True,
        "cudnn_benchmark": False,
    },
    choices={
        "mode": ("eager", "cuda_graph", "inductor"),
        "device": ("auto", "cuda", "cpu"),
        "latency": ("host", "device"),
        "channels_last": (True, False),
        "fold_batchnorm": (True, False),
        "cudnn_benchmark": (True, False),
    },
    exclude=_exclude,
)
