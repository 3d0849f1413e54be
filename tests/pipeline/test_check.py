"""A deployment that cannot be carried out is refused before a run folder is made."""

from __future__ import annotations

import pytest

from hwprune.board import Board, this_machine
from hwprune.budget_settings import parse_budget
from hwprune.errors import DeploymentError, InputError
from hwprune.pipeline import run_deployment
from hwprune.pipeline.check import ENERGY_S, as_asked
from hwprune.progress import Silent
from hwprune_device.job import Protocol, Target
from tests.pipeline.deployments import QUICKSTART

GPU = Board(name="orin", target=Target(runtime="trt", precision="fp16"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("search.methods=['policy', 'magic']", "magic"),
        ("search.methods=['sensitive+ddpg']", "search.sensitive"),
        ("search.saliency=vibes", "vibes"),
        ("search.evaluations=-1", "[search]: evaluations: must be"),
        ("search.minutes=-1", "[search]: minutes: must be"),
        ("search.algorithm='magic'", "magic"),
        ("search.min_keep=1.5", "min_keep"),
        ("finetune.lr=-1", "[finetune]: lr: must be"),
        ("finetune.distillation=2", "distillation"),
        ("network.weights=absent.pth", "absent.pth"),
        ("search.begin_from=['runs/absent']", "runs/absent"),
        ("network.source=torchvision:resnet19", "resnet19"),
        ("network.source=no.such:thing", "no.such"),
        ("data.source=sklearn:faces", "faces"),
        ("network.input=[1, 3, 32, 32]", "does not fit the task"),
        ("network.source=hwprune.network.zoo:cifar_resnet20", "does not run on the task"),
        ("board.profile=absent.toml", "absent.toml"),
    ],
)
def test_a_deployment_that_cannot_be_is_refused_and_leaves_nothing(tmp_path, override, said):
    out = tmp_path / "run"
    with pytest.raises(InputError) as raised:
        run_deployment(QUICKSTART, out=out, overrides=[override], progress=Silent())
    assert said in str(raised.value)
    assert not out.exists()


def test_energy_is_read_only_where_the_budget_limits_it():
    board = this_machine()
    assert as_asked(parse_budget({"latency_ms": "50 %"}), board) == board
    limited = parse_budget({"energy_mj": "80 %"})
    assert as_asked(limited, board).protocol == Protocol(energy_s=ENERGY_S)


def test_the_clock_of_a_limit_becomes_the_latency_of_the_target():
    budget = parse_budget({"latency_ms": {"at_most": "8 ms", "clock": "transfers"}})
    (limit,) = budget.constraints
    assert limit.label == "latency_ms (transfers)"
    assert as_asked(budget, GPU).target.options == {"latency": "transfers"}


def test_the_default_clock_written_out_changes_no_target():
    budget = parse_budget({"latency_ms": {"at_most": "8 ms", "clock": "host"}})
    assert as_asked(budget, GPU) == GPU


def test_each_kind_has_a_clock_of_its_own():
    budget = parse_budget(
        {
            "orin": {"latency_ms": {"at_most": 8, "clock": "device"}},
            "pi": {"latency_ms": 30},
        }
    ).for_kinds(["orin", "pi"])
    assert as_asked(budget, GPU).target.options == {"latency": "device"}
    pi = Board(name="pi")
    assert as_asked(budget, pi) == pi


def test_a_processor_has_no_such_clock():
    budget = parse_budget({"latency_ms": {"at_most": "8 ms", "clock": "device"}})
    with pytest.raises(DeploymentError, match="does not have") as raised:
        as_asked(budget, this_machine())
    assert "trt" in raised.value.possible


def test_two_clocks_on_one_board_are_refused():
    budget = parse_budget(
        {
            "latency_ms": [
                {"at_most": 8, "clock": "device"},
                {"at_most": 9, "clock": "host", "quantile": 0.95},
            ]
        }
    )
    with pytest.raises(DeploymentError, match="two clocks"):
        as_asked(budget, GPU)


@pytest.mark.parametrize(
    "limits",
    [
        {"latency_ms": {"at_most": 8, "clock": "sundial"}},
        {"memory_mb": {"at_most": 8, "clock": "device"}},
    ],
)
def test_a_clock_that_cannot_be_is_refused(limits: dict):
    with pytest.raises(DeploymentError, match="clock"):
        parse_budget(limits)
