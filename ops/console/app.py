"""The console's pages, events and actions, as an ASGI application for this machine's browser alone.

Other sites can make a browser on this machine call a loopback port. Three things keep them out. A Host that is not this
machine's is refused (a name that was rebound to 127.0.0.1 still sends its own). An action needs the page's Origin. It
also needs a token that only a reader of the page knows.
"""

from __future__ import annotations

import hmac
import json
import secrets
import uuid
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local import LocalError
from ops.client import payload
from ops.dead_letters import RELAY, QueueClient
from ops.failures import explain
from ops.payment import methods_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ops.console.pulse import Pulse
    from ops.target import Target

    Action = Callable[[Target, dict[str, Any]], dict[str, Any]]

FOLDER = Path(__file__).resolve().parent
FILES = {
    "/": ("page.html", "text/html"),
    "/console.css": ("console.css", "text/css"),
    "/console.js": ("console.js", "text/javascript"),
}
# Nothing from elsewhere, nothing inline, in nobody's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
TOKEN_HEADER = "X-Console-Token"  # noqa: S105 - a header's name
TOKEN_PLACE = "{{token}}"  # noqa: S105 - where it goes in the page
METHODS_PLACE = "{{methods}}"
MAX_BODY = 16 * 1024
_HEARTBEAT_SECONDS = 10.0


@dataclass(frozen=True)
class Console:
    """What the console serves: a deployment, and the pulse that follows it."""

    deployment: Target
    pulse: Pulse
    # The names under which only this machine is called, with the port.
    hosts: frozenset[str]
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))


def application(console: Console) -> ASGIApp:
    """Return the application."""
    routes = [
        *(Route(path, _file(console, *file)) for path, file in FILES.items()),
        Route("/events", _events(console)),
        *(Route(path, _action(console, action), methods=["POST"]) for path, action in ACTIONS.items()),
    ]
    handlers: dict[Any, Any] = {HTTPException: _refusal}
    handlers |= dict.fromkeys((LocalError, ClientError, BotoCoreError, requests.RequestException), _failure)
    return Guard(Starlette(routes=routes, exception_handlers=handlers), console.hosts)


class Guard:
    """Refuses calls that are not meant for this machine, and sets the security headers on every answer."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = self._app
        if Headers(scope=scope).get("host") not in self._hosts:
            app = _error("This page answers only to 127.0.0.1 and localhost.", HTTPStatus.MISDIRECTED_REQUEST)
        await app(scope, receive, send_guarded)


def _error(text: str, status: int) -> JSONResponse:
    # The body may be unread: the connection cannot be used again.
    return JSONResponse({"error": text}, status, {"Connection": "close"})


def _refusal(_: Request, error: HTTPException) -> Response:
    return _error(error.detail, error.status_code)


def _failure(_: Request, error: Exception) -> Response:
    text = str(error) if isinstance(error, LocalError) else explain(error)
    return JSONResponse({"error": text}, HTTPStatus.BAD_GATEWAY)


def _file(console: Console, name: str, kind: str) -> Callable[[Request], Response]:
    def answer(_: Request) -> Response:
        text = (FOLDER / name).read_text(encoding="utf-8").replace(TOKEN_PLACE, console.token)
        return Response(text.replace(METHODS_PLACE, options(methods_of(console.deployment.stack))), media_type=kind)

    return answer


def options(methods: Mapping[str, str]) -> str:
    """Return the form's choices as HTML."""
    return "".join(f'<option value="{escape(name)}">{escape(what)}</option>' for name, what in methods.items())


def _events(console: Console) -> Callable[[Request], Response]:
    """Send each change until the browser goes away (server-sent events)."""

    async def stream() -> AsyncIterator[str]:
        with console.pulse.listening() as listener:
            # The browser connects again when this ends.
            async for event in listener.events(_HEARTBEAT_SECONDS):
                yield f"event: {event[0]}\ndata: {json.dumps(event[1])}\n\n" if event else ": still here\n\n"

    return lambda _: StreamingResponse(stream(), media_type="text/event-stream")


def _action(console: Console, action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        _check_caller(console, request)
        found = await run_in_threadpool(action, console.deployment, await _body(request))
        console.pulse.count_soon()
        return JSONResponse(found)

    return answer


def _check_caller(console: Console, request: Request) -> None:
    if request.headers.get("Origin") != f"http://{request.headers['Host']}":
        raise HTTPException(HTTPStatus.FORBIDDEN, "Only the console's own page may do this.")
    if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), console.token.encode()):
        raise HTTPException(HTTPStatus.FORBIDDEN, "The console was restarted. Reload the page.")


async def _body(request: Request) -> dict[str, Any]:
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be JSON.")
    length = request.headers.get("Content-Length", "")
    if not length.isdecimal() or int(length) > MAX_BODY:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body must have a length, of {MAX_BODY} at most.")
    try:
        body = await request.json()
    except ValueError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The body must be a JSON object.")
    return body


def _pay(deployment: Target, body: dict[str, Any]) -> dict[str, Any]:
    names = ("customer_id", "amount", "currency", "payment_method")
    payment = {name: body[name] for name in names if body.get(name)}
    payment["transaction_id"] = f"console-{uuid.uuid4().hex[:12]}"
    return payload(deployment.api, deployment.api.post(payment))


def _refund(deployment: Target, body: dict[str, Any]) -> dict[str, Any]:
    refund = {"refund_id": f"console-{uuid.uuid4().hex[:12]}"}
    if body.get("amount"):
        refund["amount"] = body["amount"]
    return payload(deployment.api, deployment.api.refund(quote(str(body.get("transaction_id", "")), safe=""), refund))


def _redrive(deployment: Target, body: dict[str, Any]) -> dict[str, Any]:
    client = QueueClient(deployment.stack)
    queue = client.queue(str(body.get("queue", "")))
    redrive = client.redrive_relay if queue.name == RELAY else client.redrive
    return redrive(queue, lambda _done, _total: None)


ACTIONS: dict[str, Action] = {
    "/pay": _pay,
    "/refund": _refund,
    "/redrive": _redrive,
}
