"""Options of the ONNX Runtime runtime, and the names of execution providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwprune_device.runtimes.option_error import OptionError
from hwprune_device.runtimes.option_table import OptionTable

DENORMALS = "HWPRUNE_DENORMALS"
"""Environment variable: "zero" or "keep". A process decides it once, before any job is known."""
GPU_PROVIDERS = ("cuda", "tensorrt", "nvtensorrtrtx")
"""Providers that run on an NVIDIA GPU."""
PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "cuda": ("fp32", "tf32", "fp16"),
    "tensorrt": ("fp32", "tf32", "fp16", "bf16", "int8"),
}
"""By provider, where there is a choice."""
_SUFFIX = "executionprovider"


def provider_key(name: str) -> str:
    """A provider's name without its suffix, in small letters: "openvino"."""
    return name.strip().lower().removesuffix(_SUFFIX)


def _provider(value: Any) -> str:
    key = provider_key(value) if isinstance(value, str) else ""
    # Which providers there are, only the board's build knows: here just the form is checked.
    if not key.replace("_", "").isalnum():
        raise OptionError(
            "option provider must be the name of an execution provider",
            given=repr(value),
            possible='"CPU", "CUDA", "TensorRT", "OpenVINO", "XNNPACK", ...: ONNX Runtime\'s own '
            "name without ExecutionProvider",
        )
    return key


def _provider_options(value: Any) -> dict[str, str]:
    """ONNX Runtime takes text alone, and reads Python's words for true and false."""
    if isinstance(value, Mapping) and all(
        isinstance(key, str) and isinstance(entry, str | int) for key, entry in value.items()
    ):
        return {key: str(value[key]) for key in sorted(value)}
    raise OptionError(
        "option provider_options must be a table",
        given=repr(value),
        possible="texts, whole numbers, true and false by name",
    )


def _exclude(whole: Mapping[str, Any], threads: int, precision: str) -> None:
    possible = PRECISIONS.get(whole["provider"], ("fp32",))
    if precision not in possible:
        raise OptionError(
            f"ONNX Runtime's provider {whole['provider']} does not compute in this precision here",
            given=precision,
            possible=", ".join(possible),
        )
    if whole["execution"] == "parallel" and threads < 2:
        # ONNX Runtime would run one thread in sequence without a word.
        raise OptionError(
            "option execution = parallel needs more than one thread",
            given=f"threads = {threads}",
            possible="threads = 2 or more, or execution = sequential",
        )
    if whole["provider"] != "cpu":
        return
    # On the CPU they would do nothing, and give a reading another key all the same.
    for name in ("provider_options", "fallback"):
        if whole[name] != ONNXRT.defaults[name]:
            raise OptionError(
                f"option {name} is for a provider other than the CPU",
                given=f"{name} = {whole[name]!r}, provider = CPU",
                possible=f"a provider, or no {name}",
            )


ONNXRT = OptionTable(
    runtime="onnxrt",
    precisions=PRECISIONS["tensorrt"],
    defaults={
        "optimization": "all",
        "arena": True,
        "memory_pattern": True,
        "denormals": "zero",
        "execution": "sequential",
        "spinning": True,
        "provider": "cpu",
        "provider_options": {},
        "fallback": "allow",
    },
    choices={
        "optimization": ("none", "basic", "extended", "all"),
        "arena": (True, False),
        "memory_pattern": (True, False),
        "denormals": ("zero", "keep"),
        "execution": ("sequential", "parallel"),
        "spinning": (True, False),
        "fallback": ("allow", "refuse"),
    },
    readers={"provider": _provider, "provider_options": _provider_options},
    exclude=_exclude,
)
