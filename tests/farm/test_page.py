"""The farm's page: a real server on a free port, asked over real HTTP."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

import hwprune.farm.page as page_module
from hwprune.errors import InputError
from hwprune.farm.page import FarmPage
from hwprune.farm.status import BoardStatus, FarmView, write_status
from tests.farms import KIND, farm_status, gone, running, serving


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def ask(page, path="/", method="GET", headers=None, skip_host=False):
    connection = http.client.HTTPConnection(page.host, page.port, timeout=30)
    connection.putrequest(method, path, skip_host=skip_host or "Host" in (headers or {}))
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer, answer.read().decode()


def test_the_page_comes_with_a_policy_that_lets_only_its_own_script_run():
    with serving() as page:
        answer, html = ask(page)
        _, again = ask(page)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    policy = answer.headers["Content-Security-Policy"]
    (nonce,) = re.findall(r"script-src 'nonce-([\w-]{16,})';", policy)
    for part in ("default-src 'none'", "style-src 'unsafe-inline'", "connect-src 'self'"):
        assert part in policy
    assert html.count("<script") == 1 and f'<script nonce="{nonce}">' in html
    assert nonce not in again


def test_the_page_is_whole_in_itself_and_never_makes_markup_of_text():
    with serving() as page:
        _, html = ask(page)
    assert not re.search(r"""(src|href)=|url\(|@import|https?://""", html)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\son\w+=", html)


def test_status_json_holds_the_farms_and_the_servers_clock():
    told = farm_status()
    write_status(told)
    with serving() as page:
        answer, body = ask(page, "/status.json")
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    data = json.loads(body)
    assert data["farms"] == [json.loads(json.dumps(told.to_json()))]
    assert data["now"] >= told.written_at


def test_a_farm_that_ends_while_it_is_watched_stays_one_that_was_gone_before_does_not_show():
    write_status(gone())
    write_status(farm_status())
    with serving() as page:
        assert len(json.loads(ask(page, "/status.json")[1])["farms"]) == 1
        write_status(farm_status(closed=True))
        (farm,) = json.loads(ask(page, "/status.json")[1])["farms"]
    assert farm["farm"] == "my-farm" and farm["closed"] and not farm["alive"]


@pytest.mark.parametrize("path", ["/x", "/status", "/../etc/passwd", "/templates/farm.html"])
def test_there_is_nothing_else(path):
    with serving() as page:
        assert ask(page, path)[0].status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW"])
def test_it_can_only_be_read(method):
    with serving() as page:
        answer, _ = ask(page, method=method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    "host", ["localhost:9", "127.0.0.1", "[::1]:80", "127.1.2.3:1", "LOCALHOST"]
)
def test_loopback_names_are_answered(host):
    with serving() as page:
        assert ask(page, "/status.json", headers={"Host": host})[0].status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8265", "localhost.evil.example", "10.0.0.1", "", "[::1"]
)
@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics"])
def test_names_that_were_pointed_here_are_refused(host, path):
    write_status(farm_status())
    with serving() as page:
        answer, body = ask(page, path, headers={"Host": host})
    assert answer.status == 403 and "my-farm" not in body


def test_a_request_without_a_host_is_refused():
    with serving() as page:
        assert ask(page, skip_host=True)[0].status == 403


def test_beyond_loopback_any_name_is_answered_and_the_page_knows_that_it_is_open():
    with serving(host="0.0.0.0") as page:
        assert not page.local
        assert page.url == f"http://127.0.0.1:{page.port}/"
        assert ask(page, headers={"Host": "box.lan"})[0].status == 200


def test_it_listens_on_loopback_unless_told_otherwise():
    with serving() as page:
        assert page.local and page.host == "127.0.0.1"


def test_a_port_in_use_is_an_error_with_a_way_out():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError) as error:
        FarmPage(FarmView().look, port=taken.getsockname()[1])
    assert "in use" in error.value.happened and "--port 0" in error.value.next_step


@pytest.mark.parametrize("host", ["", "192.0.2.1", "no such host"])
def test_a_host_that_is_not_this_machine_is_an_error(host):
    with pytest.raises(InputError, match="cannot be opened"):
        FarmPage(FarmView().look, host=host, port=0)


def serve_by_verb(*arguments):
    command = [sys.executable, "-m", "hwprune", "farm", "status", "--web", "--port", "0"]
    return subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job has Ctrl-C ignored, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_the_verb_prints_the_address_serves_and_ends_with_ctrl_c():
    with running():
        verb = serve_by_verb()
        host, port = re.findall(r"http://([\d.]+):(\d+)/", verb.stdout.readline())[0]
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", "/status.json")
        assert json.loads(connection.getresponse().read())["farms"][0]["farm"] == "my-farm"
        verb.send_signal(signal.SIGINT)
        _, errors = verb.communicate(timeout=60)
    assert verb.returncode == 0 and errors == ""


def test_beyond_loopback_the_verb_says_what_that_means_and_names_the_tunnel():
    verb = serve_by_verb("--host", "0.0.0.0")
    port = re.findall(r":(\d+)/", verb.stdout.readline())[0]
    verb.send_signal(signal.SIGINT)
    _, errors = verb.communicate(timeout=60)
    assert "not encrypted" in errors and "no password" in errors
    assert f"ssh -N -L {port}:127.0.0.1:{port}" in errors


OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def samples(page: FarmPage, accept: str = OPENMETRICS) -> dict[tuple[str, frozenset[str]], float]:
    """What prometheus_client's own parser reads, by name and values of labels."""
    answer, text = ask(page, "/metrics", headers={"Accept": accept})
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith(accept.partition(";")[0])
    parse = read_openmetrics if accept == OPENMETRICS else read_prometheus
    return {
        (one.name, frozenset(one.labels.values())): one.value
        for family in parse(text)
        for one in family.samples
    }


FARM = {"my-farm", "runs/resnet"}
BOARD, LOST_BOARD = ({"my-farm", name, KIND} for name in ("orin-1", "orin-2"))


@pytest.mark.parametrize("accept", [OPENMETRICS, "text/plain"])
@pytest.mark.parametrize(
    ("name", "of", "value"),
    [
        ("hwprune_farm_up", FARM, 1),
        ("hwprune_board_readings_total", BOARD, 412),
        ("hwprune_board_failures_total", BOARD, 2),
        ("hwprune_board_temperature_celsius", BOARD, 61.4),
        # What a board does not tell is no sample, and never 0.
        ("hwprune_board_temperature_celsius", LOST_BOARD, None),
        ("hwprune_board_canary_deviation_ratio", BOARD, -0.008),
        ("hwprune_board_state", BOARD | {"busy"}, 1),
        ("hwprune_board_state", BOARD | {"lost"}, 0),
        ("hwprune_kind_waiting_candidates", {"my-farm", KIND}, 214),
        ("hwprune_kind_store_hits_total", {"my-farm", KIND}, 310),
        ("hwprune_kind_queue_seconds", {"my-farm", KIND}, 66.2 * 60),
    ],
)
def test_metrics_say_what_the_page_says(accept, name, of, value):
    write_status(farm_status())
    with serving() as page:
        told = samples(page, accept).get((name, frozenset(of)))
    assert told == (value if value is None else pytest.approx(value))


def test_a_farm_that_ends_while_it_is_watched_is_down_and_its_counters_stay():
    write_status(farm_status())
    with serving() as page:
        samples(page)
        write_status(farm_status(closed=True))
        told = samples(page)
    assert told["hwprune_farm_up", frozenset(FARM)] == 0
    assert told["hwprune_board_readings_total", frozenset(BOARD)] == 412


def test_a_board_cannot_add_metrics_by_its_name():
    name = 'a"} 1\nhwprune_farm_up{farm="b"} 1\n# EOF\n\\'
    write_status(farm_status(boards=(BoardStatus(name=name, kind="k", state="idle"),)))
    with serving() as page:
        told = samples(page)
    assert [values for name, values in told if name == "hwprune_farm_up"] == [FARM]
    (named,) = (values for name, values in told if name == "hwprune_board_readings_total")
    assert any("hwprune_farm_up" in value for value in named)


def test_metrics_are_there_when_no_farm_runs():
    with serving() as page:
        assert samples(page) == {}


def test_every_metric_is_on_the_page_for_who_runs_a_farm():
    write_status(farm_status())
    with serving() as page:
        names = {name for name, _ in samples(page)}
    told = Path(page_module.__file__).with_name("running-a-farm.md").read_text()
    assert names and all(f"`{name}`" in told for name in names)
