"""Who may import whom, read from the code itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BOARD = ROOT / "devices/hwprune_device"
ROOMS = {
    "channels": set(),
    "task": set(),
    "workers": set(),
    "network": {"channels", "task"},
    "saliency": {"channels", "network", "task"},
    "finetune": {"network", "task"},
    "tables": {"channels"},
    "search": {"tables"},
    "farm": {"channels", "tables"},
    "report": {"tables"},
    "pipeline": {"channels", "task", "network", "saliency", "finetune", "search", "farm"}
    | {"report", "tables", "workers"},
    "cli": {"channels", "task", "network", "farm", "report", "pipeline", "saliency", "tables"},
}
ONLY_IN = {
    # A board that runs networks as torch imports these places, and nothing else does there.
    "torch": {"hwprune_device/torch_graph"}
    | {
        f"hwprune_device/runtimes/torchrt/{name}.py"
        for name in ("allocations", "modes", "module", "network", "parts", "process")
    }
    | {"task", "network", "saliency", "finetune", "search", "pipeline", "cli"},
    "ray": {"hwprune/cluster.py", "farm", "search", "workers"},
    "onnxruntime": {"hwprune_device/runtimes/onnxrt/session.py"},
    "ncnn": {"hwprune_device/runtimes/ncnn/net.py"},
    "tensorrt": {"hwprune_device/runtimes/trt/tensorrt.py"},
    "tensorrt_rtx": {"hwprune_device/runtimes/trt/tensorrt.py"},
    "tensorrt_rtx_bindings": {"hwprune_device/runtimes/trt/tensorrt.py"},
    # The survey imports what a board may have, only to tell whether that works.
    "pycuda": {"hwprune_device/runtimes/cuda.py", "hwprune_device/survey.py"},
    "typer": {"cli"},
}
BOARD_ROOMS = {
    "conditions": {"PROTOCOL", "job", "runtimes.registry"},
    "measurement": {"conditions", "runtimes", "cut", "estimate", "frame", "inbox", "job"}
    | {"reading", "resident"},
    "precision": set(),
    "runtimes": {"precision", "torch_graph", "conditions.gpu_presence", "conditions.sysfs"}
    | {
        "bounded_folder",
        "estimate",
        "job",
        "layers",
        "memory",
        "output_structure",
        "owner",
        "range",
        "reading",
    }
    | {"resident"},
    "torch_graph": {"output_structure", "subgraphs", "values"},
}
"""What a board's rooms may import of the package beside themselves."""
MEASURES = "supervisor.py"
"""The one file of a board outside the room that comes to `measurement`."""


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


def imports(tree: ast.AST, *, members: bool = False) -> list[str]:
    """What is imported; with `members`, "from a import b" is "a.b" and not "a"."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{a.name}" for a in node.names] if members else [node.module]
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


def of_the_board(path: Path) -> set[str]:
    """What a file imports of the board's package: "job.Target", "conditions.sysfs.ROOT"."""
    names = imports(ast.parse(path.read_text()), members=True)
    return {n.partition(".")[2] for n in names if n.split(".")[0] == "hwprune_device"}


@pytest.mark.parametrize("name", BOARD_ROOMS)
def test_a_boards_room_imports_only_what_it_may(name):
    may = {name, *BOARD_ROOMS[name]}
    files = list((BOARD / name).rglob("*.py"))
    assert files
    for path in files:
        for used in of_the_board(path):
            assert any(f"{used}.".startswith(f"{one}.") for one in may), f"{place(path)}: {used}"


def test_every_room_of_a_board_says_what_it_may_import():
    assert {path.parent.name for path in BOARD.glob("*/__init__.py")} == set(BOARD_ROOMS)


def test_a_board_measures_through_its_supervisor_alone():
    users = {
        path.name
        for path in BOARD.glob("*.py")
        if any(used.split(".")[0] == "measurement" for used in of_the_board(path))
    }
    assert users == {MEASURES}


def test_importing_hwprune_pulls_in_neither_torch_nor_ray_nor_onnx():
    code = "import sys, hwprune; print([m for m in ('torch', 'ray', 'onnx') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_sorted_and_there():
    import hwprune

    assert list(hwprune.__all__) == sorted(hwprune.__all__)
    assert all(hasattr(hwprune, name) for name in hwprune.__all__)


def test_the_readmes_name_no_file_that_is_gone() -> None:
    kept = {path.name for path in ROOT.rglob("*.py")}
    for readme in [
        ROOT / "README.md",
        *(ROOT / "hwprune").rglob("README.md"),
        *BOARD.parent.rglob("*.md"),
    ]:
        named = set(re.findall(r"`(?:\w+/)*(\w+\.py)`", readme.read_text()))
        assert named <= kept, f"{readme.relative_to(ROOT)}: {sorted(named - kept)}"
