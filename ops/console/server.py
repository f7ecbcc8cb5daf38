"""Serve the console: on loopback, to this page alone.

Other sites can make a browser on this machine call a loopback port. Three things keep them out: a Host that is not this
machine's is refused (a name that was rebound to 127.0.0.1 still sends its own), what changes something needs the page's
Origin, and it needs a token that only who can read the page knows.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import uuid
from contextlib import contextmanager
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from botocore.exceptions import BotoCoreError, ClientError

from local import LocalError
from local.server import HOST
from ops.client import payload
from ops.console.pulse import Pulse
from ops.dead_letters import RELAY, QueueClient
from ops.failures import explain
from ops.payment import methods_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ops.target import Target

FOLDER = Path(__file__).resolve().parent
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/console.css": ("console.css", "text/css; charset=utf-8"),
    "/console.js": ("console.js", "text/javascript; charset=utf-8"),
}
# Nothing from elsewhere, nothing inline, in nobody's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TOKEN_HEADER = "X-Console-Token"  # noqa: S105 - a header's name
TOKEN_PLACE = "{{token}}"  # noqa: S105 - where it goes in the page
METHODS_PLACE = "{{methods}}"
MAX_BODY = 16 * 1024
_HEARTBEAT_SECONDS = 10.0


def options(methods: Mapping[str, str]) -> str:
    """Return the form's choices as HTML."""
    return "".join(f'<option value="{escape(name)}">{escape(what)}</option>' for name, what in methods.items())


class RequestError(Exception):
    """A request that is refused, with the status to say."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Console(ThreadingHTTPServer):
    """The console's server."""

    daemon_threads = True

    def __init__(self, there: Target, port: int) -> None:
        super().__init__((HOST, port), Handler)
        self.there = there
        self.pulse = Pulse(there.stack)
        self.token = secrets.token_urlsafe(32)
        self.methods = options(methods_of(there.stack))

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}"

    @property
    def hosts(self) -> set[str]:
        """The names under which this machine alone is called."""
        return {f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"}

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Say nothing: a browser goes away whenever it likes."""


class Handler(BaseHTTPRequestHandler):
    """Answers the page's requests."""

    server: Console
    protocol_version = "HTTP/1.1"
    server_version = "payments-console"
    sys_version = ""

    def do_GET(self) -> None:
        """Serve the page, its files and its events."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Do what the page asks for."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the base class's
        """Log nothing: the terminal is the operator's."""

    def _answer(self, work: Callable[[], None]) -> None:
        try:
            self._meant()
            work()
        except RequestError as error:
            # What was sent along has not been read: the connection cannot go on.
            self.close_connection = True
            self._json({"error": str(error)}, error.status)
        except (LocalError, ClientError, BotoCoreError, requests.RequestException) as error:
            said = str(error) if isinstance(error, LocalError) else explain(error)
            self._json({"error": said}, HTTPStatus.BAD_GATEWAY)

    def _meant(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            raise RequestError(HTTPStatus.MISDIRECTED_REQUEST, "this page answers to 127.0.0.1 and localhost only")

    def _get(self) -> None:
        if self.path == "/events":
            self._events()
        elif self.path in FILES:
            name, kind = FILES[self.path]
            text = (FOLDER / name).read_text(encoding="utf-8").replace(TOKEN_PLACE, self.server.token)
            self._send(text.replace(METHODS_PLACE, self.server.methods).encode(), kind)
        else:
            raise RequestError(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _post(self) -> None:
        action = ACTIONS.get(self.path)
        if action is None:
            raise RequestError(HTTPStatus.NOT_FOUND, "there is nothing here")
        if self.headers.get("Origin") != f"http://{self.headers['Host']}":
            raise RequestError(HTTPStatus.FORBIDDEN, "only the console's own page may do this")
        if not hmac.compare_digest(self.headers.get(TOKEN_HEADER, "").encode(), self.server.token.encode()):
            raise RequestError(HTTPStatus.FORBIDDEN, "the console was started anew: load the page again")
        answer = action(self.server, self._body())
        self.server.pulse.count_soon()
        self._json(answer)

    def _body(self) -> dict[str, Any]:
        if self.headers.get_content_type() != "application/json":
            raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "JSON is wanted")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY:
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long, or of no length")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise RequestError(HTTPStatus.BAD_REQUEST, "that is no JSON") from error
        if not isinstance(body, dict):
            raise RequestError(HTTPStatus.BAD_REQUEST, "an object is wanted")
        return body

    def _events(self) -> None:
        """Tell what happens until the browser goes away (server-sent events)."""
        pulse = self.server.pulse
        listener = pulse.listen()
        try:
            self._head(HTTPStatus.OK, "text/event-stream")
            self.close_connection = True
            # Who was too slow to be told everything is let go, and comes back by itself to begin anew.
            while pulse.tells(listener) and not pulse.stopping:
                try:
                    name, data = listener.get(timeout=_HEARTBEAT_SECONDS)
                    text = f"event: {name}\ndata: {json.dumps(data)}\n\n"
                except Empty:
                    text = ": still here\n\n"
                self.wfile.write(text.encode())
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            pulse.forget(listener)

    def _json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:  # noqa: ANN401 - whatever JSON can hold
        self._send(json.dumps(value).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._head(status, kind, {"Content-Length": str(len(body))})
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Cache-Control": "no-store",
            "Content-Security-Policy": POLICY,
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            **(more or {}),
        }
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


def _pay(console: Console, body: dict[str, Any]) -> dict[str, Any]:
    names = ("customer_id", "amount", "currency", "payment_method")
    payment = {name: body[name] for name in names if body.get(name)}
    payment["transaction_id"] = f"console-{uuid.uuid4().hex[:12]}"
    api = console.there.api
    return payload(api, api.post(payment))


def _refund(console: Console, body: dict[str, Any]) -> dict[str, Any]:
    api = console.there.api
    refund = {"refund_id": f"console-{uuid.uuid4().hex[:12]}"}
    if body.get("amount"):
        refund["amount"] = body["amount"]
    return payload(api, api.refund(quote(str(body.get("transaction_id", "")), safe=""), refund))


def _redrive(console: Console, body: dict[str, Any]) -> dict[str, Any]:
    client = QueueClient(console.there.stack)
    queue = client.queue(str(body.get("queue", "")))
    redrive = client.redrive_relay if queue.name == RELAY else client.redrive
    return redrive(queue, lambda _done, _total: None)


ACTIONS: dict[str, Callable[[Console, dict[str, Any]], dict[str, Any]]] = {
    "/pay": _pay,
    "/refund": _refund,
    "/redrive": _redrive,
}


@contextmanager
def serve(there: Target, port: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve the console; yield its address and what waits for as long as it is served."""
    try:
        console = Console(there, port)
    except OSError as error:
        raise LocalError(f"port {port} is taken by another program. Choose another: --port {port + 1}") from error
    thread = threading.Thread(target=console.serve_forever, name="console", daemon=True)
    console.pulse.start()
    thread.start()

    def wait() -> None:
        while thread.is_alive():
            thread.join(1)

    try:
        yield console.url, wait
    finally:
        console.pulse.stop()
        console.shutdown()
        console.server_close()
