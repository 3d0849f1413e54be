"""Options of a target: what is refused, and that each meaning has one spelling."""

from __future__ import annotations

import pytest

from hwprune_device.runtimes.options import (
    CHOICES,
    DEFAULTS,
    OptionError,
    normal_options,
    whole_options,
)


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


@pytest.mark.parametrize("name", CHOICES)
def test_a_default_is_left_out_and_every_other_choice_is_kept(name):
    kept = [
        normal_options("onnxrt", {name: choice, "provider": "CUDA"}, threads=2).get(name)
        for choice in CHOICES[name]
    ]
    assert [k for k in kept if k is not None] == [c for c in CHOICES[name] if c != DEFAULTS[name]]


def test_texts_numbers_and_truths_for_a_provider_become_text():
    given = {"provider": "CUDA", "provider_options": {"use_tf32": False, "device_id": 1, "a": "b"}}
    normal = normal_options("onnxrt", given, threads=1)
    assert normal == normal_options("onnxrt", normal, threads=1)
    assert normal["provider_options"] == {"a": "b", "device_id": "1", "use_tf32": "False"}


def test_the_whole_has_every_option():
    assert set(whole_options({"arena": False}, threads=1)) == set(DEFAULTS)


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
    assert whole_options({}, 1, runtime="torch")["mode"] == "eager"
