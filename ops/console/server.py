"""Serve the console on loopback."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from local import LocalError
from local.server import HOST
from ops.console.app import Console, application
from ops.console.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ops.target import Target

_STOP_SECONDS = 5


@contextmanager
def serve(deployment: Target, port: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve the console; yield its address and a function that waits as long as it is served."""
    try:
        # Before uvicorn, which ends the process if the port is taken.
        listening = socket.create_server((HOST, port))
    except OSError as error:
        raise LocalError(f"port {port} is taken by another program. Choose another: --port {port + 1}") from error
    port = listening.getsockname()[1]
    console = Console(deployment, Pulse(deployment.stack), frozenset({f"{HOST}:{port}", f"localhost:{port}"}))
    server = uvicorn.Server(
        uvicorn.Config(
            application(console),
            access_log=False,
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
            ws="none",
        )
    )
    thread = threading.Thread(target=server.run, args=([listening],), name="console", daemon=True)
    console.pulse.start()
    thread.start()

    def wait() -> None:
        while thread.is_alive():
            thread.join(1)

    try:
        yield f"http://{HOST}:{port}", wait
    finally:
        console.pulse.stop()
        server.should_exit = True
        thread.join(2 * _STOP_SECONDS)
