"""Tables as other tools read them: keys, units, and what a form has no place for."""

from __future__ import annotations

import ast
import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from hwprune.errors import InputError
from hwprune.layer import ChannelCount
from hwprune.tables.exports import FORMS
from hwprune.tables.inverted_residuals import InvertedResidual, parts_of
from hwprune.tables.model import TableModel
from hwprune.tables.table_header import header_of, table_of
from tests.tables.mobile_tables import (
    MOBILE_GROUPS,
    board_ms,
    convolution,
    mobile,
    mobile_layers,
    of_group,
    table_of_layers,
    without_layers,
)
from tests.traced import traced

FULL = tuple(width for _, width in MOBILE_GROUPS)


@pytest.fixture(scope="module")
def second():
    return mobile(third_version=False)


@pytest.fixture(scope="module")
def third():
    return mobile(third_version=True)


def plain():
    """Two 3 x 3 convolutions: nothing of a MobileNet."""
    layers = (
        convolution("one", ChannelCount(fixed=3), of_group(0), side=8, kernel=3, then=("Relu",)),
        convolution("two", of_group(0), of_group(1), side=8, kernel=3, stride=2),
    )
    return table_of_layers("plain", layers, (("one", 8), ("two", 8)))


def full_ms(table) -> float:
    return float(TableModel(table).latency_ms(np.array([table.own.full]))[0])


def test_blocks_are_found_and_other_layers_are_left_alone():
    parts = parts_of(mobile_layers(third_version=True), FULL)
    blocks = [part for part in parts if isinstance(part, InvertedResidual)]
    assert [part.name for part in parts] == [
        "stem",
        "b1.dw",
        "b2.in",
        "b3.in",
        "end",
        "mix",
        "logits",
    ]
    assert [block.adds_input for block in blocks] == [False, False, True]
    assert [len(block.layers) for block in blocks] == [2, 3, 5]
    assert [bool(block.squeeze) for block in blocks] == [False, False, True]


@pytest.mark.heavy
def test_all_blocks_of_a_real_mobilenet_are_found():
    base = traced("mobilenet_v2").base
    parts = parts_of(base.cost_model.layers(), base.widths)
    blocks = [part for part in parts if isinstance(part, InvertedResidual)]
    assert (len(parts), len(blocks)) == (17 + 3, 17)
    assert sum(block.adds_input for block in blocks) == 10
    assert [block.operation.stride for block in blocks].count((2, 2)) == 4


def _told(layer, **facts):
    return replace(layer, operation=replace(layer.operation, **facts))


@pytest.mark.parametrize(
    ("place", "facts"),
    [
        (3, {"then": ("BatchNormalization", "Relu")}),
        (3, {"then": ("BatchNormalization", "Add")}),
        (2, {"dilation": (2, 2)}),
        (2, {"stride": (2, 1)}),
        (2, {"groups": 12}),
    ],
    ids=["activated", "sum with another", "dilated", "uneven", "two filters a channel"],
)
def test_what_is_nearly_a_block_is_none(place, facts):
    layers = list(mobile_layers(third_version=False)[2:6])
    assert [p.name for p in parts_of(layers[1:], FULL)] == ["b2.in"]
    layers[place] = _told(layers[place], **facts)
    assert [p.name for p in parts_of(layers[1:], FULL)] == ["b2.in", "b2.dw", "b2.out"]


def test_ofa_keys_of_version_2_add_up_to_the_whole_network(second, tmp_path):
    """The sum that once-for-all makes of a network's keys is what the table predicts of it."""
    file = tmp_path / "32.yaml"
    written = FORMS["ofa"](second, file, 8)
    found = yaml.safe_load(file.read_text())
    assert len(found) == written.entries
    block = "expanded_conv-input:{}-output:{}-expand:{}-kernel:{}-stride:{}-idskip:{}"
    keys = [
        "Conv-input:32x32x3-output:16x16x8",
        block.format("16x16x8", "16x16x8", 1, 3, 1, 0),
        block.format("16x16x8", "8x8x8", 3, 5, 2, 0),
        block.format("8x8x8", "8x8x8", 6, 5, 1, 1),
        "Conv_1-input:8x8x8-output:8x8x16",
        "Logits-input:8x8x16-output:10",
    ]
    assert sum(found[key]["mean"] for key in keys) == pytest.approx(full_ms(second), rel=1e-6)
    assert found[block.format("8x8x8", "8x8x8", 48, 5, 1, 1) + "-se:0-hs:0"] == found[keys[3]]


def test_ofa_keys_of_version_3_tell_excitation_and_hard_swish(third, tmp_path):
    file = tmp_path / "32.yaml"
    FORMS["ofa"](third, file, 8)
    found = yaml.safe_load(file.read_text())
    block = "expanded_conv-input:{}-output:{}-expand:{}-kernel:{}-stride:{}-idskip:{}-se:{}-hs:1"
    keys = [
        "Conv-input:32x32x3-output:16x16x8",
        block.format("16x16x8", "16x16x8", 8, 3, 1, 0, 0),
        block.format("16x16x8", "8x8x8", 24, 5, 2, 0, 0),
        block.format("8x8x8", "8x8x8", 48, 5, 1, 1, 1),
        "Conv_1-input:8x8x8-output:8x8x16",
        "AvgPool2D-input:8x8x16-output:1x1x16",
        "Conv_2-input:1x1x16-output:1x1x32",
        "Logits-input:1x1x32-output:10",
    ]
    assert sum(found[key]["mean"] for key in keys) == pytest.approx(full_ms(third), rel=1e-6)
    assert not any("-kernel:" in key and "-hs:" not in key for key in found)


def test_ofa_keys_hold_measured_widths_in_all_combinations(second, tmp_path):
    file = tmp_path / "32.yaml"
    FORMS["ofa"](second, file, 4)
    keys = [key for key in yaml.safe_load(file.read_text()) if key.endswith("-se:0-hs:0")]
    strided = [key for key in keys if "stride:2" in key]
    adding = [key for key in keys if "idskip:1" in key]
    assert len(strided) == 4 * 4 * 4
    # What it adds its input to has the same channels.
    assert len(adding) == 4 * 4
    assert all(
        k.split("8x8x")[1].split("-")[0] == k.split("8x8x")[2].split("-")[0] for k in adding
    )


def test_ofa_gets_its_own_name_in_a_folder_and_says_its_unit(second, tmp_path):
    (file,) = FORMS["ofa"](second, tmp_path, 2).files
    assert file.name == "32_lookup_table.yaml"
    assert file.read_text().startswith("# Milliseconds on lab-pi")


def test_networks_without_such_blocks_are_refused_by_forms_of_blocks(tmp_path):
    for form in ("ofa", "nni", "fbnet"):
        with pytest.raises(InputError, match="nothing of this table"):
            FORMS[form](plain(), tmp_path / "out", 4)
        assert not (tmp_path / "out").exists()


def test_nn_meter_names_kernels_and_gives_milliseconds(tmp_path):
    table = plain()
    kernels_file, latencies_file = FORMS["nn-meter"](table, tmp_path / "kernels.json", 4).files
    kernels, latencies = (json.loads(f.read_text()) for f in (kernels_file, latencies_file))
    assert set(kernels) == set(latencies) == {"conv-relu", "conv-bn"}
    last = next(
        number
        for number, kernel in kernels["conv-bn"].items()
        if kernel["config"]["CIN"] == kernel["config"]["COUT"] == 8
    )
    kernel = kernels["conv-bn"][last]
    assert kernel["config"] == {"HW": 8, "CIN": 8, "COUT": 8, "KERNEL_SIZE": 3, "STRIDES": 2}
    assert kernel["shapes"] == [[8, 8, 8]]
    told = float(latencies["conv-bn"][last]["latency"].split("+-")[0])
    assert told == pytest.approx(TableModel(table).by_layer_ms(table.own.full)["two"])


def test_pyperf_has_what_was_measured_in_seconds(second, tmp_path):
    FORMS["pyperf"](replace(second, scale=2.0), tmp_path / "suite.json", 8)
    suite = json.loads((tmp_path / "suite.json").read_text())
    values = [run["values"][0] for b in suite["benchmarks"] for run in b["runs"]]
    assert sum(values) == pytest.approx(2 * sum(row.latency_ms for row in second.rows) / 1e3)


def test_nni_and_fbnet_are_in_microseconds(second, tmp_path):
    FORMS["nni"](second, tmp_path / "lut.txt", 8)
    lines = [ast.literal_eval(line) for line in (tmp_path / "lut.txt").read_text().splitlines()]
    (whole,) = [
        line["op_latency"]
        for line in lines
        if line["op_name"] == "ir_k5_e3" and line["op_data_shape"] == (16, 16, 8, 8, 2)
    ]
    each = TableModel(second).by_layer_ms(second.own.full)
    taken = 1e3 * (each["b2.in"] + each["b2.dw"] + each["b2.out"])
    assert whole == pytest.approx(taken, abs=1e-3)
    written = FORMS["fbnet"](second, tmp_path / "fbnet.txt", 8)
    names, *rows = [line.split(" ") for line in (tmp_path / "fbnet.txt").read_text().splitlines()]
    assert names == ["ir_k5_e1", "ir_k5_e2", "ir_k5_e3"]
    assert float(rows[0][2]) == pytest.approx(taken, rel=1e-4) and len(rows) == 2
    assert any(reason.startswith("b1.dw") for reason in written.left_out)


def test_paddleslim_and_halp_key_depthwise_layers_by_all_their_channels(second, tmp_path):
    each = TableModel(second).by_layer_ms(second.own.full)
    FORMS["paddleslim"](second, tmp_path / "slim.tsv", 8)
    head, *lines = (tmp_path / "slim.tsv").read_text().splitlines()
    assert head == "onnxrt 1.23.0\tlab-pi\t2026-01-01T00:00:00+00:00"
    found = dict(line.split("\t") for line in lines)
    assert float(found["conv,0,0,1,24,16,16,24,24,5,2,2,1"]) == pytest.approx(each["b2.dw"])
    FORMS["halp"](second, tmp_path / "halp.json", 8)
    halp = json.loads((tmp_path / "halp.json").read_text())
    assert halp["1_24_24_16_5_2_24"] == pytest.approx(each["b2.dw"])


def test_a_layer_whose_operation_is_not_known_is_named_and_left_out(tmp_path):
    table = plain()
    first, rest = table.own.layers[0], table.own.layers[1:]
    own = replace(table.own, layers=(replace(first, operation=None), *rest))
    written = FORMS["halp"](replace(table, networks=(own,)), tmp_path / "halp.json", 4)
    assert len(written.left_out) == 1 and written.left_out[0].startswith("one: how the graph")


def test_a_table_of_before_operations_were_kept_is_read_and_asks_to_be_built_again(tmp_path):
    table = plain()
    layers = tuple(replace(layer, operation=None) for layer in table.own.layers)
    header = header_of(replace(table, networks=(replace(table.own, layers=layers),)))
    for layer in header["networks"][0]["layers"]:
        del layer["operation"]
    old = replace(table_of(header), rows=table.rows)
    assert TableModel(old).by_layer_ms(old.own.full) == TableModel(table).by_layer_ms(old.own.full)
    with pytest.raises(InputError, match="build it again"):
        FORMS["ofa"](old, tmp_path / "out", 4)


def test_layers_of_one_name_are_told_apart(second, tmp_path):
    """ONNX files name weights as they like."""
    layers = tuple(replace(layer, name="layer") for layer in second.own.layers)
    alike = replace(second, networks=(replace(second.own, layers=layers),))
    for form in ("ofa", "halp"):
        before, after = tmp_path / f"{form}1", tmp_path / f"{form}2"
        FORMS[form](second, before, 4)
        FORMS[form](alike, after, 4)
        assert before.read_text() == after.read_text()


def test_dilation_and_a_sum_before_the_activation_are_not_passed_over(tmp_path):
    layers = (
        convolution("one", ChannelCount(fixed=3), of_group(0), side=8, kernel=3, dilation=2),
        convolution("two", of_group(0), of_group(1), side=8, then=("Add", "Relu")),
        convolution("out", of_group(1), ChannelCount(fixed=4), side=8, then=("Relu",)),
    )
    table = table_of_layers("residual", layers, (("one", 8), ("two", 8)))
    written = FORMS["nn-meter"](table, tmp_path / "k.json", 4)
    assert set(json.loads((tmp_path / "k.json").read_text())) == {"conv-relu"}
    assert [reason.split(":")[0] for reason in written.left_out] == ["one", "two"]
    FORMS["paddleslim"](table, tmp_path / "slim.tsv", 4)
    keys = [line.split("\t")[0] for line in (tmp_path / "slim.tsv").read_text().splitlines()]
    assert "conv,0,0,1,3,8,8,8,1,3,1,1,2" in keys and "conv,0,0,1,8,8,8,8,1,1,0,1,1" in keys


def test_batches_are_not_passed_off_as_single_inputs(second, tmp_path):
    batched = replace(second, target={**second.target, "batch": 8})
    for form in ("ofa", "nn-meter", "nni", "paddleslim", "fbnet"):
        with pytest.raises(InputError, match="no place for a batch size"):
            FORMS[form](batched, tmp_path / "out", 4)
    FORMS["halp"](batched, tmp_path / "halp.json", 4)
    assert all(key.startswith("8_") for key in json.loads((tmp_path / "halp.json").read_text()))


def test_a_table_without_layers_says_that_it_cannot_predict(second, tmp_path):
    with pytest.raises(InputError, match="cannot predict"):
        FORMS["nn-meter"](without_layers(second), tmp_path / "out", 4)


def test_the_grid_predicts_what_the_board_takes(second):
    """These tables are of a board that is a sum over layers, so they tell it nearly exactly."""
    widths = np.array([row.widths for row in second.rows[:20]])
    told = TableModel(second).latency_ms(widths)
    assert told == pytest.approx(board_ms(second.own.layers, widths), rel=0.05)
