"""A delivered network can be loaded from JSON and safetensors alone, and damage is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hwprune.channels.architecture import architecture_hash
from hwprune.errors import NetworkError
from hwprune.network.graph_module import to_module
from hwprune.network.package import load_package, read_package, save_package
from hwprune_device.cut import Cutter
from tests.traced import random_keep, traced


def _save(folder: Path, name: str = "digits_cnn") -> bytes:
    base = traced(name).base
    keep = random_keep(base, 4)
    model = Cutter(base.onnx, base.plan).cut(keep)
    save_package(folder, model=model, widths=[len(k) for k in keep], keep=keep, base=base)
    return model


@pytest.mark.parametrize("name", ["cifar_resnet20", "short_mobilenet", "flatten_vgg"])
def test_loaded_network_is_the_saved_one(name: str, tmp_path: Path) -> None:
    model = _save(tmp_path, name)
    expected, given = to_module(model), load_package(tmp_path)
    example = traced(name).example
    with torch.no_grad():
        assert torch.equal(given(example), expected(example))
    assert set(given.state_dict()) == set(expected.state_dict())
    assert architecture_hash(read_package(tmp_path)) == architecture_hash(model)
    assert (tmp_path / "model.onnx").read_bytes() == model


def test_loaded_network_is_pickled_and_traced_again_whatever_its_operators(tmp_path: Path) -> None:
    """Shortcuts by slices and pads are functions of ours, which a tracer must not enter."""
    _save(tmp_path, "cifar_resnet20")
    network, example = load_package(tmp_path), traced("cifar_resnet20").example
    torch.save(network, tmp_path / "whole.pt")
    pickled = torch.load(tmp_path / "whole.pt", weights_only=False)
    with torch.no_grad():
        for again in (pickled, torch.fx.symbolic_trace(network)):
            assert torch.equal(again(example), network(example))


def test_architecture_can_be_read_by_a_person(tmp_path: Path) -> None:
    _save(tmp_path)
    text = (tmp_path / "architecture.json").read_text()
    data = json.loads(text)
    group = data["groups"][0]
    assert group["name"] == "conv1" and group["unpruned"] == 24
    assert group["width"] == len(group["kept"])
    assert len(text.splitlines()) < 120 and len(text) < 20_000


def test_loading_needs_no_class_of_the_users(tmp_path: Path) -> None:
    _save(tmp_path)
    code = (
        "import sys, pathlib; from hwprune.network.package import load_package;"
        f"load_package(pathlib.Path({str(tmp_path)!r}));"
        "assert 'hwprune.network.zoo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _edited(folder: Path, **changes: object) -> None:
    path = folder / "architecture.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_newer_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    _save(tmp_path)
    _edited(tmp_path, version=2)
    with pytest.raises(NetworkError, match="does not know") as caught:
        load_package(tmp_path)
    assert "newer hwprune" in caught.value.next_step


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="no network can be read"):
        load_package(tmp_path)
    (tmp_path / "architecture.json").write_text('{"format": "something else"}')
    with pytest.raises(NetworkError, match="does not describe a network"):
        load_package(tmp_path)


def test_structure_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    _save(tmp_path)
    nodes = json.loads((tmp_path / "architecture.json").read_text())["nodes"]
    next(n for n in nodes if n["op"] == "Conv")["attributes"]["dilations"] = [2, 2]
    _edited(tmp_path, nodes=nodes)
    with pytest.raises(NetworkError, match="changed by hand"):
        load_package(tmp_path)


def test_weights_of_another_network_are_noticed(tmp_path: Path) -> None:
    _save(tmp_path / "one")
    _save(tmp_path / "two", "cifar_resnet20")
    (tmp_path / "two" / "weights.safetensors").rename(tmp_path / "one" / "weights.safetensors")
    with pytest.raises(NetworkError, match="do not fit"):
        load_package(tmp_path / "one")
    (tmp_path / "one" / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(NetworkError, match="no weights can be read"):
        load_package(tmp_path / "one")


def test_widths_that_contradict_the_kept_units_are_refused(tmp_path: Path) -> None:
    base = traced("digits_cnn").base
    keep = random_keep(base, 4)
    with pytest.raises(ValueError, match="kept are"):
        save_package(tmp_path, model=base.onnx, widths=base.widths, keep=keep, base=base)
