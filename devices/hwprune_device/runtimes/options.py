"""Options of a target by runtime: what may be written, what is meant where nothing is written.

Standard library alone: the head refuses a wrong option with this before a board is reached, and
the board reads the same options with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwprune_device.runtimes import torch_options, trt_options, trtexec_options
from hwprune_device.runtimes.option_error import OptionError

DEFAULTS: Mapping[str, Any] = {
    "optimization": "all",
    "arena": True,
    "memory_pattern": True,
    "denormals": "zero",
    "execution": "sequential",
    "spinning": True,
    "provider": "cpu",
    "provider_options": {},
    "fallback": "allow",
}
"""Options of onnxrt; for what they do see devices/runtimes.md."""
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "optimization": ("none", "basic", "extended", "all"),
    "arena": (True, False),
    "memory_pattern": (True, False),
    "denormals": ("zero", "keep"),
    "execution": ("sequential", "parallel"),
    "spinning": (True, False),
    "fallback": ("allow", "refuse"),
}
PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "cuda": ("fp32", "tf32", "fp16"),
    "tensorrt": ("fp32", "tf32", "fp16", "bf16", "int8"),
}
"""By provider, where there is a choice."""
GPU_RUNTIMES = ("trt", "torch")
"""Runtimes that have a clock of the device beside the host's."""
_TABLES = {
    "onnxrt": (DEFAULTS, CHOICES),
    "torch": (torch_options.DEFAULTS, torch_options.CHOICES),
}
"""Defaults and choices by runtime."""
GPU_PROVIDERS = ("cuda", "tensorrt", "nvtensorrtrtx")
"""Providers that run on an NVIDIA GPU."""
_SUFFIX = "executionprovider"


def normal_options(
    runtime: str, options: Mapping[str, Any], threads: int, precision: str = "fp32"
) -> dict[str, Any]:
    """The options that differ from the defaults, each in its one spelling.

    So a default that is written out selects the same readings as one that is left out. Options of
    runtimes that are not known here are given back as they are.

    Raises:
        OptionError: an unknown option, a value that cannot be, or two that exclude each other.
    """
    if runtime == "trt":
        return trt_options.normal_options(options, precision)
    if runtime == "trtexec":
        return trtexec_options.normal_options(options, precision)
    if runtime not in _TABLES:
        return dict(options)
    defaults, choices = _TABLES[runtime]
    normal = {n: _normal_value(n, value, defaults, choices) for n, value in options.items()}
    whole = {**defaults, **normal}
    if runtime == "onnxrt":
        _check_together(whole, threads)
        _check_precision(whole["provider"], precision)
    elif found := torch_options.conflict(whole):
        said, given, possible = found
        raise OptionError(said, given=given, possible=possible)
    return {name: whole[name] for name in sorted(normal) if whole[name] != defaults[name]}


def whole_options(
    options: Mapping[str, Any],
    threads: int,
    precision: str = "fp32",
    *,
    runtime: str = "onnxrt",
) -> dict[str, Any]:
    """Every option of a runtime that is known here, with its value.

    Raises:
        OptionError: as `normal_options`.
    """
    defaults, _ = _TABLES[runtime]
    return {**defaults, **normal_options(runtime, options, threads, precision)}


def provider_key(name: str) -> str:
    """A provider's name without its suffix, in small letters: "openvino"."""
    return name.strip().lower().removesuffix(_SUFFIX)


def _normal_value(
    name: str, value: Any, defaults: Mapping[str, Any], choices: Mapping[str, tuple[Any, ...]]
) -> Any:
    if name not in defaults:
        raise OptionError(f"unknown option '{name}'", given=name, possible=", ".join(defaults))
    if name == "provider":
        return _provider(value)
    if name == "provider_options":
        return _provider_options(value)
    # By type too: 1 is equal to True, and no one means it here.
    if not any(value == choice and type(value) is type(choice) for choice in choices[name]):
        raise OptionError(
            f"option {name} cannot be this", given=repr(value), possible=_words(choices[name])
        )
    return value


def _provider(value: Any) -> str:
    key = provider_key(value) if isinstance(value, str) else ""
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


def _check_together(whole: Mapping[str, Any], threads: int) -> None:
    if whole["execution"] == "parallel" and threads < 2:
        # ONNX Runtime would run one thread in sequence without a word.
        raise OptionError(
            "option execution = parallel needs more than one thread",
            given=f"threads = {threads}",
            possible="threads = 2 or more, or execution = sequential",
        )
    if whole["provider"] != "cpu":
        return
    for name in ("provider_options", "fallback"):
        if whole[name] != DEFAULTS[name]:
            raise OptionError(
                f"option {name} is for a provider other than the CPU",
                given=f"{name} = {whole[name]!r}, provider = CPU",
                possible=f"a provider, or no {name}",
            )


def _check_precision(provider: str, precision: str) -> None:
    possible = PRECISIONS.get(provider, ("fp32",))
    if precision not in possible:
        raise OptionError(
            f"ONNX Runtime's provider {provider} does not compute in this precision here",
            given=precision,
            possible=", ".join(possible),
        )


def _words(choices: tuple[Any, ...]) -> str:
    return ", ".join(str(c).lower() if isinstance(c, bool) else c for c in choices)
