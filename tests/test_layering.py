"""Who may import whom, read from the code itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {
    "channels": set(),
    "network": {"channels"},
    "saliency": {"channels", "network"},
    "finetune": {"channels", "network"},
    "search": set(),
    "farm": {"channels"},
    "report": set(),
    "testing": {"channels", "search", "farm"},
    "pipeline": {"channels", "network", "saliency", "finetune", "search", "farm", "report"},
    "cli": {"channels", "network", "farm", "report", "pipeline", "saliency", "finetune"},
}
ONLY_IN = {
    # A board that runs networks as torch imports these places, and nothing else does there.
    "torch": {"hwprune_device/torch_graph"}
    | {
        f"hwprune_device/runtimes/torchrt/{name}.py"
        for name in ("allocations", "modes", "module", "network", "process")
    }
    | {"network", "saliency", "finetune", "search", "pipeline", "cli"},
    "ray": {"farm", "search"},
    "onnxruntime": {"hwprune_device/runtimes/onnxrt/session.py"},
    "tensorrt": {"hwprune_device/runtimes/trt/tensorrt.py"},
    # The survey imports what a board may have, only to tell whether that works.
    "pycuda": {"hwprune_device/runtimes/cuda.py", "hwprune_device/survey.py"},
    "typer": {"cli"},
}


def sources() -> list[Path]:
    return [*(ROOT / "hwprune").rglob("*.py"), *(ROOT / "devices").rglob("*.py")]


def place(path: Path) -> str:
    return str(path.relative_to(ROOT)).removeprefix("devices/")


def room(path: Path) -> str:
    parts = place(path).split("/")
    return parts[0] if parts[0] == "hwprune_device" else parts[1] if len(parts) > 2 else ""


def places(path: Path) -> set[str]:
    """A file and every folder that it lies in."""
    parts = place(path).split("/")
    return {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}


def imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            names += [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
    return names


@pytest.mark.parametrize("path", sources(), ids=place)
def test_a_file_imports_only_what_its_room_may(path):
    here = room(path)
    for name in imports(ast.parse(path.read_text())):
        top, *rest = name.split(".")
        if top in ONLY_IN:
            assert ({here} | places(path)) & ONLY_IN[top], f"{place(path)} imports {name}"
        if here == "hwprune_device":
            assert top != "hwprune", f"the board's {place(path)} imports {name}"
        elif top == "hwprune" and rest and rest[0] in ROOMS and here not in ("", rest[0]):
            assert rest[0] in ROOMS[here], f"{place(path)} imports {name}"


def test_what_rewrites_graphs_knows_nothing_that_runs_them():
    for path in (ROOT / "devices/hwprune_device/precision").glob("*.py"):
        for name in imports(ast.parse(path.read_text())):
            assert not name.startswith("hwprune_device.runtimes"), f"{place(path)}: {name}"


def test_importing_hwprune_pulls_in_neither_torch_nor_ray_nor_onnx():
    code = "import sys, hwprune; print([m for m in ('torch', 'ray', 'onnx') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_sorted_and_there():
    import hwprune

    assert list(hwprune.__all__) == sorted(hwprune.__all__)
    assert all(hasattr(hwprune, name) for name in hwprune.__all__)
