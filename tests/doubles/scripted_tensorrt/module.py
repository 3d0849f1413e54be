"""The module object that stands in for `tensorrt`."""

from __future__ import annotations

import types
from functools import partial

from tests.doubles.scripted_cuda import ScriptedGpu
from tests.doubles.scripted_tensorrt.builder import Builder
from tests.doubles.scripted_tensorrt.engine import Runtime
from tests.doubles.scripted_tensorrt.names import names_of
from tests.doubles.scripted_tensorrt.network import OnnxParser
from tests.doubles.scripted_tensorrt.scene import Scene
from tests.doubles.scripted_tensorrt.script import Script
from tests.doubles.tensorrt_surface import read


def scripted_tensorrt(
    version: str = "10.3", script: Script | None = None, gpu: ScriptedGpu | None = None
) -> types.ModuleType:
    """What `import tensorrt` would give, as far as it is used.

    Args:
        version: a recorded release: "10.3", "10.7", "10.13", "11.4".
        script: what shall happen; the usual flow when none is given.
        gpu: where it happens; give the one that `scripted_pycuda` has.

    Raises:
        FileNotFoundError: no such release was recorded.
    """
    release = read(version).version
    scene = Scene(release, script or Script(), gpu or ScriptedGpu())
    module = types.ModuleType("tensorrt", f"a scripted TensorRT {release}")
    module.__dict__.update(
        names_of(scene.generation),
        __version__=release,
        Builder=partial(Builder, scene),
        OnnxParser=OnnxParser,
        Runtime=partial(Runtime, scene),
    )
    return module
