"""Enums, and the classes that users derive from."""

from __future__ import annotations

from enum import Enum
from typing import Any

import onnx

BuilderFlag = Enum("BuilderFlag", ["GPU_FALLBACK", "TF32"])
"""Of generation 11, in which precision lies in the graph."""
BuilderFlag10 = Enum("BuilderFlag10", ["GPU_FALLBACK", "TF32", "BF16", "FP16", "INT8"])
DeviceType = Enum("DeviceType", ["GPU", "DLA"])
MemoryPoolType = Enum("MemoryPoolType", ["WORKSPACE"])
TensorIOMode = Enum("TensorIOMode", ["INPUT", "OUTPUT"])
Severity = Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING"])


class ILogger:
    """Hears what the library says."""

    INTERNAL_ERROR, ERROR, WARNING = Severity


class IProgressMonitor:
    """Hears of the steps of a build, and may end it."""


class IProfiler:
    """Hears what each layer took."""


class IInt8EntropyCalibrator2:
    """Fills inputs to find ranges on."""


class IInt8MinMaxCalibrator:
    """Fills inputs to find ranges on."""


_COMMON = (DeviceType, ILogger, IProfiler, IProgressMonitor, MemoryPoolType, TensorIOMode)
_NUMPY = ("FLOAT", "FLOAT16", "INT8", "INT32", "INT64", "BOOL", "UINT8")
"""What `nptype` knows; bf16 and fp8 have no numpy type."""


def nptype(trt_type: int) -> type:
    """The numpy type of an element type, which is ONNX's number here."""
    if onnx.TensorProto.DataType.Name(trt_type) not in _NUMPY:
        raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")
    return onnx.helper.tensor_dtype_to_np_dtype(trt_type).type


def names_of(generation: int) -> dict[str, Any]:
    """Those of the names here that a generation, 10 or 11, has."""
    only_10 = (IInt8EntropyCalibrator2, IInt8MinMaxCalibrator) if generation == 10 else ()
    flags = BuilderFlag10 if generation == 10 else BuilderFlag
    classes = {found.__name__: found for found in (*_COMMON, *only_10)}
    return {**classes, "BuilderFlag": flags, "nptype": nptype}
