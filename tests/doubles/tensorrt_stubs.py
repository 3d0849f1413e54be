"""Stand-ins for TensorRT's libraries, enough to import its Python bindings without a GPU.

The bindings need nine C functions when they are loaded and call none of them at import. So three
small libraries of the right names, compiled with the system's C compiler, let a wheel of the
bindings be imported and looked at. Nothing can be built or run with them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

SYMBOLS: Mapping[str, tuple[str, ...]] = {
    "libnvinfer": (
        "createInferBuilder_INTERNAL",
        "createInferRefitter_INTERNAL",
        "createInferRuntime_INTERNAL",
        "getBuilderPluginRegistry",
        "getPluginRegistry",
    ),
    "libnvinfer_plugin": ("initLibNvInferPlugins",),
    "libnvonnxparser": (
        "createNvOnnxParserRefitter_INTERNAL",
        "createNvOnnxParser_INTERNAL",
        "getNvOnnxParserVersion",
    ),
}
"""What the bindings take from each library."""


class NoCompilerError(RuntimeError):
    """The system has no C compiler."""

    def __init__(self) -> None:
        super().__init__("no C compiler: neither cc nor gcc is on the PATH; install gcc")


def compile_stubs(folder: Path, major: int) -> None:
    """Write the three libraries of a generation into a folder, for LD_LIBRARY_PATH.

    Raises:
        NoCompilerError: no C compiler here.
        subprocess.CalledProcessError: it refused.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompilerError
    for library, symbols in SYMBOLS.items():
        text = "".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in symbols)
        name = f"{library}.so.{major}"
        command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", "-x", "c", "-"]
        subprocess.run(
            [*command, "-o", str(folder / name)],
            input=text,
            text=True,
            check=True,
            capture_output=True,
        )


def wheel_version(folder: Path) -> str:
    """The version of the bindings in an unpacked wheel.

    Raises:
        FileNotFoundError: the folder holds no bindings.
    """
    init = folder / "tensorrt_bindings" / "__init__.py"
    if not init.exists():
        raise FileNotFoundError(
            f"{folder} holds no folder tensorrt_bindings; unpack a wheel of "
            "tensorrt_cu12_bindings or tensorrt_cu13_bindings there"
        )
    found = re.search(r'^__version__ = "([\d.]+)', init.read_text(), re.MULTILINE)
    return found[1] if found else "0"
