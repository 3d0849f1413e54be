"""Deployment files: what they may say, and what a mistake in one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprune.board import find_board, load_board
from hwprune.deployment import load_deployment
from hwprune.errors import DeploymentError

GOOD = """
[network]
source = "hwprune.network.zoo:digits_cnn"
[data]
source = "sklearn:digits"
[board]
profile = "boards/here.toml"
[budget]
latency_ms = "50 %"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_paths_start_at_the_deployment_file(tmp_path):
    text = GOOD.replace("[data]", 'weights = "w/net.pth"\n[data]')
    deployment = load_deployment(written(tmp_path, text))
    assert deployment.boards == (tmp_path / "boards" / "here.toml",)
    assert deployment.network.weights == str(tmp_path / "w" / "net.pth")


def test_variables_in_paths_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("SOMEWHERE", str(tmp_path / "there"))
    text = GOOD.replace("[data]", 'weights = "$SOMEWHERE/net.pth"\n[data]')
    deployment = load_deployment(written(tmp_path, text))
    assert deployment.network.weights == str(tmp_path / "there" / "net.pth")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[network]", "[network"), "not valid TOML"),
        (("latency_ms", "latency"), "unknown quantity"),
        (('latency_ms = "50 %"', ""), "asks for nothing"),
        (("[data]", "[data]\nsplit = 3"), "unknown key 'split'"),
        (("[data]", "[data]\nheldout = 'many'"), "heldout"),
        (("[board]", "[gadget]\nx = 1\n[board]"), "unknown section [gadget]"),
        (('[board]\nprofile = "boards/here.toml"', ""), "no [board]"),
        (('source = "sklearn:digits"', "heldout = 3"), "source"),
    ],
)
def test_a_mistake_is_named(tmp_path, change, said):
    with pytest.raises(DeploymentError) as raised:
        load_deployment(written(tmp_path, GOOD.replace(*change)))
    assert said in str(raised.value)


def test_a_missing_file_names_its_neighbours(tmp_path):
    written(tmp_path, GOOD)
    with pytest.raises(DeploymentError) as raised:
        load_deployment(tmp_path / "wihs.toml")
    assert "mine.toml" in str(raised.value)


@pytest.mark.parametrize("load", [load_deployment, load_board])
def test_a_missing_file_names_a_verb_that_writes_one_and_examples_that_are_there(load, tmp_path):
    with pytest.raises(DeploymentError) as raised:
        load(tmp_path / "missing.toml")
    assert "`hwprune " in raised.value.next_step
    examples = Path(raised.value.next_step.rpartition(" in ")[2])
    assert list(examples.glob("*.toml"))


def test_overrides_change_single_keys(tmp_path):
    deployment = load_deployment(
        written(tmp_path, GOOD),
        ["search.evaluations=7", "data.root=/data", "budget.memory_mb=80 %"],
    )
    assert deployment.search.evaluations == 7
    assert deployment.data.root == "/data"
    assert [c.label for c in deployment.limits.constraints] == ["latency_ms", "memory_mb"]


@pytest.mark.parametrize("override", ["evaluations=3", "search.evaluations", "network.source.x=1"])
def test_an_override_that_cannot_be_read_is_refused(tmp_path, override):
    with pytest.raises(DeploymentError):
        load_deployment(written(tmp_path, GOOD), [override])


def test_a_fleet_has_profiles_and_a_budget_for_each_kind(tmp_path):
    text = GOOD.replace(
        'profile = "boards/here.toml"',
        'profiles = ["boards/a.toml", "boards/b.toml"]\nlatency_of = "slowest"\ncluster = "auto"',
    ).replace('latency_ms = "50 %"', 'latency_ms = "8 ms"\n[budget.b]\nlatency_ms = "30 ms"')
    deployment = load_deployment(written(tmp_path, text))
    assert [board.name for board in deployment.boards] == ["a.toml", "b.toml"]
    assert (deployment.nominal, deployment.cluster) == ("slowest", "auto")
    limits = {c.label: c.at_most for c in deployment.limits.constraints}
    assert limits == {"latency_ms": 8.0, "latency_ms on b": 30.0}


@pytest.mark.parametrize(
    "board",
    [
        'profile = "a.toml"\nprofiles = ["b.toml"]',
        "profiles = []",
        'profile = "a.toml"\nlatency_of = "best"',
        'profil = "a.toml"',
    ],
)
def test_a_board_section_that_makes_no_sense_is_refused(tmp_path, board):
    with pytest.raises(DeploymentError, match=r"\[board\]"):
        load_deployment(written(tmp_path, GOOD.replace('profile = "boards/here.toml"', board)))


def test_a_board_is_found_by_name_in_the_projects_folder_and_in_the_users(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    project, user = tmp_path / "profiles" / "boards", tmp_path / "config" / "hwprune" / "boards"
    for place, name in ((project, "lab"), (user, "lab"), (user, "own")):
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.toml").write_text('connection = "local"\n')
    text = GOOD.replace(
        'profile = "boards/here.toml"', 'profiles = ["lab", "own", "this-machine"]'
    )
    boards = load_deployment(written(tmp_path, text)).boards
    assert boards == (project / "lab.toml", user / "own.toml", Path("this-machine"))
    assert [find_board(str(board)).name for board in boards] == ["lab", "own", "this-machine"]


def test_a_board_that_nobody_knows_is_refused_with_those_that_are_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "profiles" / "boards").mkdir(parents=True)
    (tmp_path / "profiles" / "boards" / "lab.toml").touch()
    with pytest.raises(DeploymentError, match="no board called 'lob'") as raised:
        load_deployment(written(tmp_path, GOOD.replace("boards/here.toml", "lob")))
    assert raised.value.possible == "lab" and "hwprune boards add lob" in raised.value.next_step


def test_a_budget_that_is_repeated_is_several_with_names(tmp_path):
    text = GOOD.replace(
        '[budget]\nlatency_ms = "50 %"',
        '[[budget]]\nlatency_ms = "50 %"\n[[budget]]\nname = "small"\nparams = "20 %"',
    )
    budgets = load_deployment(written(tmp_path, text)).budgets
    assert [budget.name for budget in budgets] == ["50 %", "small"]
    assert budgets[1].text == ("params ≤ 20 % of the unpruned network's",)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ('latency_ms = "50%"', "one name"),
        ('name = "50 %: b"\nparams = "9 %"', "and a colon"),
        ('name = "search"\nparams = "20 %"', "called 'search'"),
    ],
)
def test_budgets_that_could_not_be_told_apart_are_refused(tmp_path, second, said):
    text = GOOD.replace(
        '[budget]\nlatency_ms = "50 %"', f'[[budget]]\nlatency_ms = "50 %"\n[[budget]]\n{second}'
    )
    with pytest.raises(DeploymentError, match=said):
        load_deployment(written(tmp_path, text))
