"""A runtime joins from another package by an entry point, and measures like one of ours."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from hwprune_device.job import Target
from hwprune_device.runtimes import UnknownRuntimeError, facts_of, registry, runtime_names
from hwprune_device.runtimes.registry import normal_options, patience_s
from tests.hwprune_device.chain import chain

ROOT = Path(__file__).parents[3]
FACTS = """
from hwprune_device.runtimes import RuntimeFacts
from hwprune_device.runtimes.option_table import OptionTable

FACTS = RuntimeFacts(
    title="NumPy, on the processor",
    place="numpy_runtime.runtime:NumpyRuntime",
    options=OptionTable(
        runtime="numpy",
        precisions=("fp32",),
        defaults={"fast": False},
        choices={"fast": (True, False)},
    ),
    packages=("numpy", "onnx"),
    reports_memory=False,
)
NO_FACTS = 3
"""
RUNTIME = """
import numpy as np, onnx
from onnx.reference import ReferenceEvaluator
from hwprune_device.reading import Memory
from hwprune_device.runtimes.inputs import in_batches
from hwprune_device.runtimes.interface import interface_of


class NumpyRuntime:
    def describe(self):
        return {"name": "numpy", "version": np.__version__}

    def workers(self, target):
        return 1

    def limits_address_space(self, target):
        return True

    def clock(self, target):
        return None

    def warm(self):
        pass

    def load(self, model, target, free, alive=lambda: None):
        return NumpyNetwork(model, target, free)

    def run_network(self, model, inputs, target=None):
        proto = onnx.load_model_from_string(model)
        evaluator, interface = ReferenceEvaluator(proto), interface_of(proto)
        names = [entry.name for entry in interface.inputs]
        run = lambda part: list(map(np.asarray, evaluator.run(None, dict(zip(names, part)))))
        return in_batches(run, inputs, interface)


class NumpyNetwork:
    def __init__(self, model, target, free):
        proto = onnx.load_model_from_string(model)
        self.memory = Memory(weights_mb=len(model) / 1e6, activations_mb=None)
        self.doubts, self.facts = (), {}
        self.evaluator = ReferenceEvaluator(proto)
        self.data = {
            entry.name: np.zeros(entry.shape, entry.type)
            for entry in interface_of(proto, free).inputs
        }

    def weigh(self):
        self.run()

    def run(self):
        self.evaluator.run(None, self.data)

    def close(self):
        pass
"""
ENTRY_POINTS = """[hwprune.runtimes]
numpy = numpy_runtime.facts:FACTS
broken = numpy_runtime.nowhere:FACTS
number = numpy_runtime.facts:NO_FACTS
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a package as pip would install it."""
    room, about = tmp_path / "numpy_runtime", tmp_path / "numpy_runtime-1.0.dist-info"
    room.mkdir()
    about.mkdir()
    (room / "__init__.py").write_text("")
    (room / "facts.py").write_text(FACTS)
    (room / "runtime.py").write_text(RUNTIME)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy-runtime\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    return tmp_path


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch):
    """The package, seen by this process."""
    monkeypatch.syspath_prepend(package)
    registry._brought.cache_clear()
    yield
    registry._brought.cache_clear()
    registry._loaded.cache_clear()


@pytest.fixture
def python(package: Path, tmp_path: Path) -> Path:
    """Python of an environment in which the package is installed beside what runs this test."""
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = (tmp_path / "venv").glob("lib/python3*/site-packages")
    seen = [str(package), str(ROOT), str(ROOT / "devices"), *filter(None, sys.path)]
    (site / "seen.pth").write_text("\n".join(seen))
    return tmp_path / "venv/bin/python"


def test_a_runtime_of_another_package_is_measured_by_its_name(python, tmp_path):
    (tmp_path / "net.onnx").write_bytes(chain((4, 8)))
    quick = "[protocol]\nrounds = 3\nmax_rounds = 3\n"
    profile = f'connection = "local"\n{quick}[target]\nruntime = "numpy"\n'
    (tmp_path / "board.toml").write_text(profile)
    done = subprocess.run(
        [python, "-m", "hwprune", "measure", "net.onnx", "--board", "board.toml"],
        cwd=tmp_path,
        env={**os.environ, "HWPRUNE_STORE": str(tmp_path / "readings.sqlite")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "numpy" in done.stdout and " ms" in done.stdout


def test_what_is_known_of_it_is_known_like_that_of_ours(installed):
    assert runtime_names()[:3] == ("onnxrt", "trt", "torch") and "numpy" in runtime_names()
    assert facts_of("numpy").title == "NumPy, on the processor"
    assert normal_options("numpy", {"fast": False}, 1) == {}
    assert patience_s(Target(runtime="numpy")) == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [("broken", "cannot be loaded"), ("number", "not the RuntimeFacts"), ("none", "onnxrt, trt")],
)
def test_one_that_is_broken_is_named_and_breaks_no_other(installed, name, said):
    with pytest.raises(UnknownRuntimeError, match=said):
        facts_of(name)
    assert facts_of("onnxrt").name == "onnxrt"
