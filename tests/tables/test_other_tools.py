"""Tables are read by the tools they are written for, as those are on the package index."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hwprune.tables.exports import FORMS
from hwprune.tables.model import TableModel
from tests.tables.mobile_tables import mobile
from tests.venvs import make_venv

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1200)]

OFA = """
import functools, json, sys, yaml
# As shipped it calls yaml.load as PyYAML 5 took it.
yaml.load = functools.partial(yaml.load, Loader=yaml.SafeLoader)
from ofa.nas.efficiency_predictor import MBv3LatencyTable, ProxylessNASLatencyTable
third, second = MBv3LatencyTable(url=sys.argv[1]), ProxylessNASLatencyTable(url=sys.argv[2])
def block(inputs, outputs, ratio, kernel, stride, skip, se):
    conv = dict(in_channels=inputs, out_channels=outputs, expand_ratio=ratio, kernel_size=kernel,
        stride=stride, mid_channels=None, use_se=se, act_func="h_swish")
    return dict(mobile_inverted_conv=conv, shortcut={} if skip else None)
def blocks(se):
    return [block(8, 8, 1, 3, 1, False, False), block(8, 8, 3, 5, 2, False, False),
        block(8, 8, 6, 5, 1, True, se)]
def conv(inputs, outputs):
    return dict(in_channels=inputs, out_channels=outputs)
def product(inputs):
    return dict(in_features=inputs, out_features=10)
print(json.dumps([
    third.predict_network_latency_given_config(dict(first_conv=conv(3, 8), blocks=blocks(True),
        final_expand_layer=conv(8, 16), feature_mix_layer=conv(16, 32),
        classifier=product(32)), 32),
    second.predict_network_latency_given_config(dict(first_conv=conv(3, 8), blocks=blocks(False),
        feature_mix_layer=conv(8, 16), classifier=product(16)), 32),
]))
"""
NN_METER = """
import json, sys
from nn_meter.builder.kernel_predictor_builder.predictor_builder import extract_feature, utils
data = utils.collect_kernel_data((sys.argv[1], sys.argv[2]))
found = {kind: extract_feature.get_data_by_profiled_results(
    kind, extract_feature.get_feature_parser(kind), data) for kind in data}
print(json.dumps(found))
"""


def output(folder: Path, *command: object) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(
        [str(word) for word in command], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_once_for_all_adds_up_what_tables_predict_of_whole_networks(tmp_path):
    pytest.importorskip("torch")
    third, second = mobile(third_version=True), mobile(third_version=False)
    files = [tmp_path / "third.yaml", tmp_path / "second.yaml"]
    for table, file in zip((third, second), files, strict=True):
        FORMS["ofa"](table, file, 8)
    python = make_venv(
        tmp_path / "venv", "ofa==0.1.0.post202307202001", sees_ours=True, alone=True
    )
    told = json.loads(output(tmp_path, python, "-c", OFA, *files).splitlines()[-1])
    wanted = [
        float(TableModel(table).latency_ms(np.array([table.own.full]))[0])
        for table in (third, second)
    ]
    print(f"ofa: {told} ms, tables: {wanted} ms")
    assert told == pytest.approx(wanted, rel=1e-6)


def test_nn_meter_reads_every_kernel_and_its_milliseconds(tmp_path):
    table = mobile(third_version=False)
    written = FORMS["nn-meter"](table, tmp_path / "kernels.json", 8)
    # It imports pkg_resources, which later setuptools do not bring.
    python = make_venv(tmp_path / "venv", "nn-meter==2.0", "setuptools<81")
    told = json.loads(output(tmp_path, python, "-c", NN_METER, *written.files).splitlines()[-1])
    print({kind: len(features) for kind, (features, _) in told.items()})
    assert sum(len(features) for features, _ in told.values()) == written.entries
    features, latencies = told["dwconv-bn-relu6"]
    (place,) = [n for n, f in enumerate(features) if f[:5] == [16, 24, 24, 5, 2]]
    each = TableModel(table).by_layer_ms(table.own.full)
    assert latencies[place] == pytest.approx(each["b2.dw"], rel=1e-6)


def test_pyperf_tells_the_seconds_of_networks(tmp_path):
    table = mobile(third_version=False)
    FORMS["pyperf"](table, tmp_path / "suite.json", 8)
    python = make_venv(tmp_path / "venv", "pyperf==2.11.0")
    told = output(tmp_path, python, "-m", "pyperf", "stats", tmp_path / "suite.json")
    print("\n".join(told.splitlines()[:12]))
    assert "mobile2 8-8-24-48-8-16" in told
    code = (
        "import pyperf, sys; s = pyperf.BenchmarkSuite.load(sys.argv[1]);"
        "print(max(b.mean() for b in s.get_benchmarks()))"
    )
    slowest = float(output(tmp_path, python, "-c", code, tmp_path / "suite.json"))
    assert slowest == pytest.approx(max(row.latency_ms for row in table.rows) / 1e3)
