"""One web page that shows farms live: read-only, and nothing in it is loaded from elsewhere.

Beside it the same as JSON and as metrics.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import secrets
import socket
import socketserver
import sys
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hwprune.errors import InputError
from hwprune.farm.status import FarmStatus

PORT = 8265
LOOPBACK = "127.0.0.1"
_TEMPLATE = Path(__file__).parent / "templates" / "farm.html"
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class FarmPage(ThreadingHTTPServer):
    """The page's server; `serve_forever` until `shutdown`, then `server_close`.

    Args:
        look: what to show, asked for at every poll of every page that is open.
        host: a name or address of this machine; beyond loopback anybody who reaches it may read.
        port: 0 for any that is free.

    Raises:
        InputError: the host is not this machine's, or the port cannot be had.
    """

    daemon_threads = True
    # Two servers on one port would answer in turns.
    allow_reuse_port = False

    def __init__(
        self, look: Callable[[], Sequence[FarmStatus]], *, host: str = LOOPBACK, port: int = PORT
    ) -> None:
        self.look = look
        try:
            self.address_family, *_, address = _resolve(host, port)
            # Addresses of IPv6 have two more fields.
            super().__init__(address[:2], _Answer)
        except OSError as error:
            raise _cannot_open(host, port, error) from None

    def server_bind(self) -> None:
        """Bind, without the look into DNS that http.server takes."""
        socketserver.TCPServer.server_bind(self)

    @property
    def host(self) -> str:
        """The address that it listens at."""
        return str(self.server_address[0])

    @property
    def local(self) -> bool:
        """Whether only this machine can reach the page."""
        return _is_loopback(self.host)

    @property
    def port(self) -> int:
        """The port that it got."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        # A browser cannot open "every address", such as 0.0.0.0.
        host = LOOPBACK if ipaddress.ip_address(self.host).is_unspecified else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Answer(BaseHTTPRequestHandler):
    """One request."""

    server: FarmPage
    timeout = 10.0
    """Seconds; who says nothing for so long does not hold a thread."""
    server_version = "hwprune"
    # By default it names this Python in every answer.
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with the page or with what it shows; nothing else is there."""
        path = self.path.partition("?")[0]
        if not self._host_is_ours():
            self._send(HTTPStatus.FORBIDDEN, "open this page by the address of this machine\n")
        elif path == "/":
            # Only the page's own script carries it, so a script that gets in does not run.
            nonce = secrets.token_urlsafe(16)
            page = _TEMPLATE.read_text(encoding="utf-8").replace("{{nonce}}", nonce)
            self._send(HTTPStatus.OK, page, "text/html", nonce)
        elif path == "/status.json":
            farms = [status.to_json() for status in self.server.look()]
            # Ages are told by this clock: a browser's own may be off.
            body = json.dumps({"now": time.time(), "farms": farms}, allow_nan=False)
            self._send(HTTPStatus.OK, body, "application/json")
        elif path == "/metrics":
            from hwprune.farm.metrics import metrics_text

            accept = self.headers.get("Accept", "")
            self._send(HTTPStatus.OK, *metrics_text(self.server.look(), accept))
        else:
            self._send(HTTPStatus.NOT_FOUND, "there is only /, /status.json and /metrics\n")

    def __getattr__(self, name: str) -> Any:
        # http.server looks for a do_ method by the request's own word: all but GET end here.
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal would fill with polls."""

    def _refuse(self) -> None:
        self._send(HTTPStatus.METHOD_NOT_ALLOWED, "this page can only be read\n")

    def _host_is_ours(self) -> bool:
        """Whether a loopback page was asked for by a loopback name.

        Else any web site could let its own name point here and read the answers (DNS rebinding).
        """
        if not self.server.local:
            return True
        hosts = self.headers.get_all("Host") or []
        return len(hosts) == 1 and _is_loopback(_without_port(hosts[0]))

    def _send(
        self, status: HTTPStatus, text: str, kind: str = "text/plain", nonce: str = ""
    ) -> None:
        body = text.encode("utf-8")
        self.send_response(status)
        charset = "" if "charset=" in kind else "; charset=utf-8"
        self.send_header("Content-Type", kind + charset)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header(
            "Content-Security-Policy", _POLICY.format(nonce=nonce or secrets.token_urlsafe(16))
        )
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _resolve(host: str, port: int) -> tuple[Any, ...]:
    if not host:
        # The system would take it for every address of this machine.
        raise OSError("no host is named")
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]


def _without_port(host: str) -> str:
    inner, closed, _ = host.removeprefix("[").partition("]")
    return inner if host.startswith("[") and closed else host.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _cannot_open(host: str, port: int, error: OSError) -> InputError:
    if error.errno == errno.EADDRINUSE:
        return InputError(
            f"port {port} of {host} is in use",
            possible="the page may be open there already, by another `hwprune farm status --web`",
            next_step="name another port with --port, or --port 0 for one that is free",
        )
    return InputError(
        f"the page cannot be opened at {host or 'an empty host'}, port {port}",
        given=error.strerror or str(error),
        possible="addresses of this machine, ports from 1024; --port 0 for one that is free",
        next_step="leave --host and --port out",
    )
