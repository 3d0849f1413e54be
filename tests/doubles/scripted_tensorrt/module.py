"""The module object that stands in for `tensorrt`."""

from __future__ import annotations

import types
from typing import Any

import numpy as np

from tests.doubles.scripted_cuda import ScriptedGpu
from tests.doubles.scripted_tensorrt.builder import Builder
from tests.doubles.scripted_tensorrt.engine import Runtime
from tests.doubles.scripted_tensorrt.faces import Maker, behind, constant_of, make_classes
from tests.doubles.scripted_tensorrt.logger import PrintingLogger
from tests.doubles.scripted_tensorrt.network import Shape
from tests.doubles.scripted_tensorrt.parser import Parser
from tests.doubles.scripted_tensorrt.scene import Scene
from tests.doubles.scripted_tensorrt.script import Script
from tests.doubles.tensorrt_surface import read

_NUMPY = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
    "UINT8": np.uint8,
}
"""What `nptype` knows; bf16 and fp8 have no numpy type."""


def scripted_tensorrt(
    version: str = "10.3", script: Script | None = None, gpu: ScriptedGpu | None = None
) -> types.ModuleType:
    """What `import tensorrt` would give.

    Args:
        version: a recorded release: "10.3", "10.7", "10.13", "11.4".
        script: what shall happen; the usual flow when none is given.
        gpu: where it happens; give the one that `scripted_pycuda` has.

    Raises:
        FileNotFoundError: no such release was recorded.
    """
    surface = read(version)
    scene = Scene(surface, script or Script(), gpu or ScriptedGpu())
    scene.classes = make_classes(surface, _makers(scene))
    module = types.ModuleType("tensorrt", f"a scripted TensorRT {surface.version}")
    names = {name: found for name, found in scene.classes.items() if "." not in name}
    constants = {
        name: constant_of(said, scene.classes) for name, said in surface.constants.items()
    }
    functions = {name: _unscripted(name) for name in surface.functions}
    scripted = {"nptype": _nptype, "volume": _volume}
    functions.update({name: scripted[name] for name in surface.functions if name in scripted})
    module.__dict__.update(names, **constants, **functions, __version__=surface.version)
    return module


def _makers(scene: Scene) -> dict[str, Maker]:
    def builder(face: Any, logger: Any) -> Builder:
        does = Builder(scene, logger)
        scene.watch(face, "Builder", does, scene.gpu.runtime_context())
        return does

    def parser(face: Any, network: Any, logger: Any) -> Parser:
        does = Parser(scene, network, behind(network), logger)
        scene.watch(face, "OnnxParser", does)
        return does

    def runtime(face: Any, logger: Any) -> Runtime:
        does = Runtime(scene, logger)
        scene.watch(face, "Runtime", does, scene.gpu.runtime_context())
        return does

    return {
        "Builder": builder,
        "OnnxParser": parser,
        "Runtime": runtime,
        "Logger": lambda face, min_severity=None: PrintingLogger(scene, min_severity),
        "Dims": lambda face, shape=(): Shape(tuple(int(size) for size in shape)),
    }


def _nptype(trt_type: Any) -> Any:
    if getattr(trt_type, "name", "") in _NUMPY:
        return _NUMPY[trt_type.name]
    raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")


def _volume(iterable: Any) -> int:
    found = 1
    for size in iterable:
        found *= size
    return found


def _unscripted(name: str) -> Any:
    def function(*given: Any, **named: Any) -> Any:
        raise NotImplementedError(f"the scripted TensorRT does nothing for {name}")

    function.__name__ = name
    return function
