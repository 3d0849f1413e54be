"""The farm's page: a real server on a free port, asked over real HTTP."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys

import pytest

from hwprune.errors import InputError
from hwprune.farm.page import FarmPage
from hwprune.farm.status import FarmView, write_status
from tests.farms import farm_status, gone, running, serving


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
@pytest.mark.parametrize("path", ["/", "/status.json"])
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
