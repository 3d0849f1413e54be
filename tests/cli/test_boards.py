"""`hwprune boards`: real looks at this machine and real readings, and what is refused."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hwprune.board import Board, find_board, load_board
from hwprune.cli.app import app
from hwprune.cli.board_compare import comparison
from hwprune.errors import BoardError, DeploymentError
from tests.farm.board_python import board_python
from tests.report.sample_certificate import make_reading

VERBS = ("add", "list", "show", "remove", "check", "compare")
# Few rounds: these tests ask whether boards are measured, not how well.
QUICK = 'connection = "local"\n[protocol]\nrounds = 5\nmax_rounds = 5\n'


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    """Ray of other tests may run on this machine, and would be joined."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of boards, in a place without others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "hwprune" / "boards"


def boards(*arguments: str):
    return CliRunner().invoke(app, ["boards", *arguments])


def profiles(folder, **texts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_ends_with_an_example(verb):
    said = CliRunner().invoke(app, ["boards", verb, "--help"], env={"COLUMNS": "100"}).output
    example = next(line for line in said.splitlines() if "Example:" in line)
    assert f"hwprune boards {verb}" in example


def test_a_board_is_looked_at_before_it_is_added(folder):
    done = boards("add", "here", "--local", "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["survey"]["packages"]["onnxruntime"]["imports"] is True
    board = load_board(folder / "here.toml")
    assert (board.name, board.kind, board.connection) == ("here", "here", "local")
    assert board.facts["cores"] == said["survey"]["processor"]["cores"]
    assert find_board("here") == board


def unreachable(board: Board):
    raise BoardError(f"board '{board.name}' does not answer", next_step="look at the cable")


def test_a_board_that_cannot_be_reached_is_not_added(folder, monkeypatch):
    monkeypatch.setattr("hwprune.farm.connections.survey", unreachable)
    done = boards("add", "pi", "--ssh", "pi@pi.local")
    assert done.exit_code == 4
    assert "look at the cable" in done.stderr and "--unseen" in done.stderr
    assert not (folder / "pi.toml").exists()


def test_unseen_adds_it_with_every_way_to_reach_it(folder, monkeypatch):
    monkeypatch.setattr("hwprune.farm.connections.survey", unreachable)
    options = ["-o", "Port=2222", "-o", "User=pi", "--python", "/opt/python", "--kind", "pi-4"]
    done = boards("add", "pi", "--ssh", "pi.local", *options, "--gateway", "lab", "--unseen")
    assert done.exit_code == 0, done.stderr
    board = load_board(folder / "pi.toml")
    assert (board.host, board.ssh_options) == ("pi.local", ("Port=2222", "User=pi"))
    assert (board.python, board.kind, board.gateway) == ("/opt/python", "pi-4", "lab")


def test_a_board_is_replaced_only_by_force(folder):
    profiles(folder, pi=QUICK)
    refused = boards("add", "pi", "--ssh", "a@b", "--unseen")
    assert refused.exit_code == 2 and "--force" in refused.stderr
    assert load_board(folder / "pi.toml").connection == "local"
    assert boards("add", "pi", "--ssh", "a@b", "--unseen", "--force").exit_code == 0
    assert load_board(folder / "pi.toml").host == "a@b"


@pytest.mark.parametrize(
    ("options", "runtime", "precision"),
    [
        ([], "onnxrt", "fp32"),
        (["--runtime", "trt"], "trt", "fp16"),
        (["--runtime", "trt", "--precision", "int8"], "trt", "int8"),
        (["--runtime", "torch", "--precision", "bf16"], "torch", "bf16"),
    ],
)
def test_what_runs_networks_and_how_precisely_is_written_down(folder, options, runtime, precision):
    done = boards("add", "pi", "--ssh", "a@b", "--unseen", *options)
    assert done.exit_code == 0, done.stderr
    target = load_board(folder / "pi.toml").target
    assert (target.runtime, target.precision) == (runtime, precision)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pi", "--ssh", "a@b", "--precision", "fp16"], "--runtime"),
        (["pi", "--ssh", "a@b", "--runtime", "tflite"], "onnxrt, trt, torch"),
        (["pi", "--ssh", "a@b", "--runtime", "torch", "--precision", "int8"], "bf16"),
        (["pi"], "--ssh USER@HOST"),
        (["pi", "--local", "--ssh", "a@b"], "--ssh, --local"),
        (["../pi", "--local"], "name"),
        (["pi", "--ssh", "-oProxyCommand=x"], "host cannot be used"),
    ],
)
def test_options_that_make_no_sense_are_refused(folder, arguments, said):
    done = boards("add", *arguments, "--unseen")
    assert done.exit_code == 2 and said in done.stderr
    assert not folder.exists()


def test_boards_are_listed_and_a_broken_profile_among_them_is_named(folder):
    profiles(
        folder,
        pi='connection = "ssh"\nhost = "pi@pi.local"\n',
        template='connection = "ssh"\nhost = "pi@change-me"\n',
        broken='colour = "red"\n',
    )
    rows = {row["name"]: row for row in json.loads(boards("list", "--json").stdout)["boards"]}
    assert rows["pi"]["reached"] == "ssh pi@pi.local" and rows["pi"]["placeholder"] is False
    assert rows["template"]["placeholder"] is True
    assert "colour" in rows["broken"]["error"]
    said = boards("list").stdout
    assert "pi@pi.local" in said and "host not set" in said


def test_an_empty_folder_says_how_to_add_one(folder):
    assert "hwprune boards add" in " ".join(boards("list").stdout.split())


def test_a_board_is_shown_with_its_facts(folder):
    profiles(folder, pi=QUICK + '[facts]\nmodel = "Raspberry Pi 4"\n')
    assert "Raspberry Pi 4" in boards("show", "pi").stdout
    assert json.loads(boards("show", "pi", "--json").stdout)["facts"]["model"] == "Raspberry Pi 4"


def test_a_board_is_removed_only_when_that_is_meant(folder):
    profiles(folder, pi=QUICK)
    refused = boards("remove", "pi")
    assert refused.exit_code == 2 and "--yes" in refused.stderr
    assert boards("remove", "pi", "--yes").exit_code == 0
    assert not (folder / "pi.toml").exists()
    again = boards("remove", "pi", "--yes")
    assert again.exit_code == 2 and "no board called 'pi'" in again.stderr


def test_checking_measures_on_every_board_that_was_set_up(folder):
    profiles(folder, one=QUICK, template='connection = "ssh"\nhost = "pi@change-me"\n')
    done = boards("check", "--json")
    assert done.exit_code == 0, done.stderr
    (result,) = json.loads(done.stdout)["boards"]
    assert result["name"] == "one" and result["answers"] is True
    assert 0 < result["low_ms"] <= result["latency_ms"] <= result["high_ms"]


def test_a_board_that_does_not_answer_fails_the_check_and_not_the_others(folder):
    profiles(folder, one=QUICK, two=QUICK.replace("\n", '\npython = "/no/such/python"\n', 1))
    done = boards("check", "two", "one", "--json")
    assert done.exit_code == 4
    results = {r["name"]: r for r in json.loads(done.stdout)["boards"]}
    assert results["one"]["answers"] is True
    assert "/no/such/python" in results["two"]["error"]


def test_a_profile_that_cannot_be_read_fails_the_check_and_not_the_others(folder):
    profiles(folder, odd='colour = "red"\n', one=QUICK)
    done = boards("check", "--json")
    assert done.exit_code == 4
    odd, one = json.loads(done.stdout)["boards"]
    assert odd["name"] == "odd" and not odd["answers"] and "colour" in odd["error"]
    assert one["answers"] is True


def test_a_board_without_a_host_is_told_what_it_lacks(folder):
    profiles(folder, template='connection = "ssh"\nhost = "pi@change-me"\n')
    done = boards("check", "template")
    assert done.exit_code == 4 and "set host" in done.stdout


def pretender(folder, tmp_path) -> None:
    """A profile of a board that is emulated, beside one that is not."""
    python = board_python(tmp_path, "emulated")
    profiles(folder, one=QUICK, pretender=QUICK.replace("\n", f'\npython = "{python}"\n', 1))


REFUSED = "board 'pretender' is emulated: its times say nothing about hardware"


def test_an_emulated_board_fails_the_check_in_the_words_of_the_farm(folder, tmp_path):
    pretender(folder, tmp_path)
    done = boards("check", "pretender", "one", "--json")
    assert done.exit_code == 4
    results = {r["name"]: r for r in json.loads(done.stdout)["boards"]}
    assert results["one"]["answers"] is True
    assert REFUSED in results["pretender"]["error"]
    assert "hwprune doctor pretender" in results["pretender"]["error"]
    assert "latency_ms" not in results["pretender"]


def test_an_emulated_board_is_not_compared(folder, tmp_path):
    pretender(folder, tmp_path)
    done = boards("compare", "one", "pretender")
    assert done.exit_code == 4 and REFUSED in done.stderr
    assert " ms" not in done.stdout


def test_two_boards_are_compared_by_real_readings(folder, tmp_path):
    from hwprune.cli.checks.board import tiny_network

    kind = 'kind = "twins"\n'
    profiles(folder, one=kind + QUICK, two=kind + QUICK)
    (tmp_path / "tiny.onnx").write_bytes(tiny_network())
    done = boards("compare", "one", "two", "tiny.onnx", "--json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["boards"] == ["one", "two"] and result["kinds"] == ["twins"]
    assert {row["network"] for row in result["networks"]} == {
        "convolutions",
        "depthwise",
        "matrix",
        "tiny.onnx",
    }
    assert result["slowest"] in ("one", "two")


@pytest.mark.parametrize("arguments", [["one"], ["one", "one"], ["one", "tiny.onnx"]])
def test_one_board_cannot_be_compared(folder, arguments):
    profiles(folder, one=QUICK)
    done = boards("compare", *arguments)
    assert done.exit_code == 2 and "two different boards" in done.stderr


def compared(**milliseconds: float) -> dict:
    """A comparison of boards that took so long for the one canary."""
    chosen = [Board(name=name, kind="k") for name in milliseconds]
    readings = {
        name: {"canary": make_reading("a" * 64, value, seed=1)}
        for name, value in milliseconds.items()
    }
    return comparison(chosen, readings, canaries=["canary"])


def test_boards_within_three_percent_agree_and_the_slowest_is_named():
    result = compared(a=1.0, b=1.02, c=1.01)
    assert result["canaries_agree"] is True
    assert result["slowest"] == "b"
    assert result["networks"][0]["spread_pct"] == pytest.approx(2.0, abs=0.01)
    assert compared(a=1.0, b=1.04)["canaries_agree"] is False


def test_a_network_of_the_users_own_does_not_decide_whether_boards_agree():
    chosen = [Board(name=name, kind="k") for name in "ab"]
    readings = {
        name: {"canary": make_reading("a" * 64, 1.0, seed=1), "own": make_reading("b" * 64, x)}
        for name, x in (("a", 1.0), ("b", 2.0))
    }
    assert comparison(chosen, readings, canaries=["canary"])["canaries_agree"] is True


def test_a_name_is_looked_up_in_the_project_before_the_users_folder(folder, tmp_path):
    profiles(folder, pi=QUICK + '[facts]\nwhere = "user"\n')
    profiles(tmp_path / "profiles" / "boards", pi=QUICK + '[facts]\nwhere = "project"\n')
    assert find_board("pi").facts["where"] == "project"
    assert find_board("pi", folder).facts["where"] == "user"
    assert find_board(str(folder / "pi.toml")).facts["where"] == "user"


def test_an_unknown_name_lists_those_that_are_known(folder):
    profiles(folder, pi=QUICK)
    with pytest.raises(DeploymentError, match="pi") as error:
        find_board("ip")
    assert "hwprune boards add ip" in str(error.value)


def test_this_machine_is_known_everywhere(folder):
    assert find_board("this-machine").is_here


def test_measure_takes_a_boards_name(folder, tmp_path):
    from hwprune.cli.checks.board import tiny_network

    profiles(folder, quick=QUICK)
    (tmp_path / "tiny.onnx").write_bytes(tiny_network())
    arguments = ["measure", "tiny.onnx", "--board", "quick", "--repeat", "1", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["board"] == "quick"


@pytest.mark.parametrize(
    "text", ['connection = "ray"\n', 'connection = "local"\ngateway = "lab"\n']
)
@pytest.mark.parametrize("verb", [("boards", "check"), ("doctor",)])
def test_a_board_of_a_cluster_is_not_mistaken_for_this_machine(folder, monkeypatch, text, verb):
    # Else a Ray would do that other tests have started, in this process or on this machine.
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    profiles(folder, node=text)
    done = CliRunner().invoke(app, [*verb, "node"])
    assert done.exit_code != 0
    assert "Ray cannot be joined" in " ".join((done.stdout + done.stderr).split())


def test_a_node_of_a_cluster_is_added_unseen(folder):
    done = boards("add", "node", "--ray")
    assert done.exit_code == 4
    assert "--unseen" in done.stderr
    assert boards("add", "node", "--ray", "--unseen").exit_code == 0
