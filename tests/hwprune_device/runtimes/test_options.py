"""Options of a target: what is refused, and that each meaning has one spelling."""

from __future__ import annotations

import pytest

from hwprune_device.job import Target
from hwprune_device.runtimes import facts_of, runtime_names
from hwprune_device.runtimes.option_error import OptionError
from hwprune_device.runtimes.registry import normal_options

TABLES = {name: facts_of(name).options for name in runtime_names()}
ONNXRT = TABLES["onnxrt"]


@pytest.mark.parametrize(
    "options",
    [
        {"optimisation": "all"},
        {"optimization": 99},
        {"arena": 1},
        {"provider": ""},
        {"provider": 3},
        {"provider": "OpenVINO", "provider_options": ["num_streams"]},
        {"provider": "OpenVINO", "provider_options": {"num_streams": 1.5}},
        {"provider_options": {"num_streams": 1}},
        {"fallback": "refuse", "provider": "cpu"},
        {"execution": "parallel"},
    ],
)
def test_what_a_runtime_would_ignore_or_misread_is_refused(options):
    with pytest.raises(OptionError) as raised:
        normal_options("onnxrt", options, threads=1)
    assert raised.value.given and raised.value.possible


@pytest.mark.parametrize("name", ONNXRT.choices)
def test_a_default_is_left_out_and_every_other_choice_is_kept(name):
    kept = [
        normal_options("onnxrt", {name: choice, "provider": "CUDA"}, threads=2).get(name)
        for choice in ONNXRT.choices[name]
    ]
    others = [choice for choice in ONNXRT.choices[name] if choice != ONNXRT.defaults[name]]
    assert [k for k in kept if k is not None] == others


def test_texts_numbers_and_truths_for_a_provider_become_text():
    given = {"provider": "CUDA", "provider_options": {"use_tf32": False, "device_id": 1, "a": "b"}}
    normal = normal_options("onnxrt", given, threads=1)
    assert normal == normal_options("onnxrt", normal, threads=1)
    assert normal["provider_options"] == {"a": "b", "device_id": "1", "use_tf32": "False"}


def test_the_whole_has_every_option():
    assert set(ONNXRT.of(Target(options={"arena": False}))) == set(ONNXRT.defaults)


def test_options_of_another_runtime_are_its_own_business():
    assert normal_options("trt", {"workspace_mb": 64}, threads=1) == {"workspace_mb": 64}


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "graph"},
        {"device": "gpu"},
        {"channels_last": "yes"},
        {"optimization": "all"},
        {"mode": "cuda_graph", "device": "cpu"},
        {"latency": "device", "device": "cpu"},
    ],
)
def test_torch_has_options_of_its_own(options):
    with pytest.raises(OptionError) as raised:
        normal_options("torch", options, threads=1)
    assert raised.value.given and raised.value.possible


def test_torch_s_defaults_are_left_out_too():
    spelled = {"mode": "eager", "device": "auto", "channels_last": True}
    assert normal_options("torch", spelled, threads=1) == {"channels_last": True}
    assert TABLES["torch"].of(Target())["mode"] == "eager"


@pytest.mark.parametrize(
    ("runtime", "options"),
    [
        ("trt", {"workspace_mb": 0}),
        ("trt", {"builds": 2.5}),
        ("trt", {"builds": True}),
        ("trt", {"build_timeout_s": "60"}),
        ("trt", {"dla": 2}),
        ("trt", {"fallback": "refuse"}),
    ],
)
def test_numbers_have_their_range_and_what_is_for_a_dla_wants_one(runtime, options):
    with pytest.raises(OptionError) as raised:
        normal_options(runtime, options, threads=1)
    assert raised.value.given and raised.value.possible


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_option_is_checked_by_something_and_every_default_passes(table):
    checked = {*table.choices, *table.ranges, *table.readers}
    assert set(table.defaults) <= checked
    spelled = {name: value for name, value in table.defaults.items() if value is not None}
    assert table.normal(spelled) == {}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_precision_that_a_runtime_lacks_is_refused_here(table):
    with pytest.raises(OptionError) as raised:
        table.normal({}, precision="fp8")
    assert raised.value.given == "fp8" and "fp32" in raised.value.possible


def test_tf32_is_not_for_a_processor():
    with pytest.raises(OptionError, match="tf32"):
        normal_options("torch", {"device": "cpu"}, 1, "tf32")
    assert normal_options("torch", {}, 1, "tf32") == {}
