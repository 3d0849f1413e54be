"""Several budgets of one run: one search, a network each, and none costs the others."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

import hwprune
from hwprune.errors import BudgetError, NetworkError
from hwprune.pipeline.contest import hold
from hwprune.pipeline.searched import Searched, search
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Silent
from hwprune.report.front import read_front
from tests.pipeline.benches import make_bench
from tests.pipeline.deployments import QUICKSTART, SMALL, command

BUDGETS = [{"latency_ms": "80 %"}, {"latency_ms": "50 %"}, {"name": "none", "latency_ms": "1 %"}]


@pytest.fixture
def searched(tmp_path) -> tuple[Workbench, Searched]:
    methods = ("model", "random", "uniform")
    bench = make_bench(tmp_path, budget=BUDGETS, methods=methods, evaluations=30)
    bench.bound(Silent())
    return bench, search(bench, Silent())


def test_a_budget_that_cannot_be_met_is_set_apart_with_its_reason(searched):
    bench, _ = searched
    assert list(bench.budgets) == ["80 %", "50 %"]
    assert "'none' cannot be met" in bench.unmet["none"].happened


def test_where_none_can_be_met_the_run_ends(tmp_path):
    bench = make_bench(tmp_path, budget=[{"latency_ms": "2 %"}, {"latency_ms": "1 %"}])
    with pytest.raises(BudgetError, match="even the smallest"):
        bench.bound(Silent())


def test_one_search_serves_all_and_each_has_a_winner_of_its_own(searched):
    bench, found = searched
    assert [(search.method, search.budget) for search in found.searches] == [
        ("model", ""),
        *[("random", "80 %"), ("random", "50 %")],
        *[("uniform", "80 %"), ("uniform", "50 %")],
    ]
    wide, narrow = (hold(bench.under(name), found, Silent()) for name in bench.budgets)
    joint = [[e.number for e in c.evaluations if e.method == "model"] for c in (wide, narrow)]
    assert joint[0] == joint[1]
    assert sum(wide.winner.candidate.widths) > sum(narrow.winner.candidate.widths)
    for contest in (wide, narrow):
        assert contest.winner.passed and contest.uniform is not None
        assert all(set(e.excess) == {"latency_ms"} for e in contest.evaluations)
    assert sum(wide.uniform.candidate.widths) > sum(narrow.uniform.candidate.widths)
    assert bench.under("50 %").folder.path.name == "50"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Any, dict[str, Any]]:
    """A whole run for three budgets, one of which cannot be met."""
    folder = tmp_path_factory.mktemp("front")
    out, file = folder / "run", folder / "front.toml"
    wanted = "\n".join(f'[[budget]]\nlatency_ms = "{limit} %"' for limit in (80, 50, 1))
    text = QUICKSTART.read_text().replace("../boards/this-machine.toml", "this-machine")
    file.write_text(re.sub(r"\[budget\]\n.*\n", wanted + "\n", text))
    typed = command(out, overrides=SMALL, deployment=file)
    done = subprocess.run(typed, capture_output=True, text=True)
    assert done.returncode in (3, 7), done.stderr[-3000:]
    return out, json.loads(done.stdout)


@pytest.mark.heavy
def test_a_run_for_several_budgets_leaves_a_network_and_a_report_for_each(finished):
    out, told = finished
    assert [b["budget"] for b in told["budgets"]] == ["80 %", "50 %", "1 %"]
    assert "cannot be met" in told["budgets"][2]["failed"] and told["budgets"][2]["exit_code"] == 3
    front = read_front(out)
    for entry in front.entries[:2]:
        assert entry.result is not None
        assert (out / entry.folder / "report.html").is_file()
    page = (out / "report.html").read_text()
    assert "50/report.html" in page and "<svg" in page and "cannot be met" in page
    wide, narrow = (hwprune.load(out, budget=name) for name in ("80 %", "50 %"))
    sizes = [sum(p.numel() for p in net.parameters()) for net in (wide, narrow)]
    assert sizes[0] >= sizes[1] > 0
    with pytest.raises(NetworkError, match="several budgets") as raised:
        hwprune.load(out)
    assert raised.value.possible == "50, 80"
