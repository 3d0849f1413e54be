"""What of TensorRT's Python API is used here, by class; a given keyword stands in brackets.

A test holds it against the recorded API of several versions, and against the files that use it.
"""

from __future__ import annotations

from collections.abc import Mapping

SURFACE: Mapping[str, tuple[str, ...]] = {
    "": (
        "Builder",
        "BuilderFlag",
        "DeviceType",
        "ILogger",
        "IProfiler",
        "IProgressMonitor",
        "MemoryPoolType",
        "OnnxParser",
        "Runtime",
        "TensorIOMode",
        "__version__",
        "nptype",
    ),
    "Builder": (
        "build_serialized_network",
        "create_builder_config",
        "create_network",
        "num_DLA_cores",
    ),
    "BuilderFlag": ("GPU_FALLBACK", "TF32"),
    "DeviceType": ("DLA",),
    "IBuilderConfig": (
        "DLA_core",
        "builder_optimization_level",
        "can_run_on_DLA",
        "clear_flag",
        "create_timing_cache",
        "default_device_type",
        "get_timing_cache",
        "progress_monitor",
        "set_flag",
        "set_memory_pool_limit",
        "set_timing_cache(ignore_mismatch)",
    ),
    "ICudaEngine": (
        "create_execution_context",
        "device_memory_size_v2",
        "get_tensor_dtype",
        "get_tensor_mode",
        "get_tensor_name",
        "get_tensor_shape",
        "num_io_tensors",
    ),
    "IExecutionContext": ("execute_async_v3(stream_handle)", "profiler", "set_tensor_address"),
    "ILogger": ("ERROR", "INTERNAL_ERROR", "WARNING", "log"),
    "INetworkDefinition": ("get_input", "get_layer", "num_inputs", "num_layers"),
    "ILayer": ("name",),
    "ITensor": ("name", "shape"),
    "IProfiler": ("report_layer_time",),
    "IProgressMonitor": ("phase_finish", "phase_start", "step_complete"),
    "ITimingCache": ("serialize",),
    "MemoryPoolType": ("WORKSPACE",),
    "OnnxParser": ("get_error", "num_errors", "parse"),
    "ParserError": ("desc", "node_name", "node_operator"),
    "Runtime": ("DLA_core", "deserialize_cuda_engine"),
    "TensorIOMode": ("INPUT",),
}
"""Of every generation."""
SURFACE_10: Mapping[str, tuple[str, ...]] = {
    "": ("IInt8EntropyCalibrator2", "IInt8MinMaxCalibrator"),
    "BuilderFlag": ("BF16", "FP16", "INT8"),
    "IBuilderConfig": ("int8_calibrator",),
    "IInt8EntropyCalibrator2": (
        "get_batch",
        "get_batch_size",
        "read_calibration_cache",
        "write_calibration_cache",
    ),
}
"""What only 10.x has."""
SURFACE_11: Mapping[str, tuple[str, ...]] = {}
"""What only 11.x has."""
