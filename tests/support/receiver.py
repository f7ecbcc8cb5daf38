"""A receiver of webhooks: an HTTPS server on loopback that records requests and gives the answers that a test sets."""

from __future__ import annotations

import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Answer:
    """A receiver's answer: sent after ``wait`` seconds, in ``pieces`` that are ``pause`` seconds apart."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0
    pieces: tuple[bytes, ...] = ()
    pause: float = 0
    # Or, instead of all that, these bytes, each ``pause`` seconds after the one before.
    raw: bytes | None = None


@dataclass
class Receiver:
    """An HTTPS server, as a context manager. ``answer`` returns the answer to a request."""

    context: ssl.SSLContext
    answer: Callable[[Received], Answer] = lambda _: Answer()
    port: int = 0
    received: list[Received] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    _server: ThreadingHTTPServer = field(init=False)

    def __enter__(self) -> Self:
        self.context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        handler = type("Handler", (_ReceiverHandler,), {"receiver": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # a handshake that failed
        self._server.daemon_threads = True
        # Each connection's thread does the handshake, so that a client that never finishes one delays nobody.
        self._server.socket = self.context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, wanted: Callable[[Received], bool], seconds: float) -> Received | None:
        """Return the first request that is ``wanted``; None if none arrives in time."""
        deadline = time.monotonic() + seconds
        while True:
            for request in list(self.received):
                if wanted(request):
                    return request
            if time.monotonic() > deadline:
                return None
            time.sleep(0.05)


class _ReceiverHandler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Received(self.path, headers, body, time.monotonic())
        self.receiver.received.append(request)
        try:
            self._answer(self.receiver.answer(request))
        except OSError:
            self.close_connection = True  # the sender has closed the connection

    do_GET = do_POST  # noqa: N815 - the base class's name; a redirect that was followed would be seen

    def _answer(self, answer: Answer) -> None:
        time.sleep(answer.wait)
        if answer.raw is not None:
            for byte in answer.raw:
                self.wfile.write(bytes([byte]))
                time.sleep(answer.pause)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in answer.pieces:
            self.wfile.write(piece)
            time.sleep(answer.pause)

    def log_message(self, *_: object) -> None:
        pass
