"""The fault layer: microburst, which speaks AWS's protocols, between the functions and the embedded AWS.

``python -m chaos.proxy PORT UPSTREAM SEED`` serves until it is stopped. Its own API sets faults while it runs.
"""

from __future__ import annotations

import random
import re
import signal
import ssl
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import requests
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from microburst.app import make_app
from microburst.core.pipeline import Microburst
from microburst.forward import Upstream

from local import ROOT
from local.server import HOST, free_port, start_process, stop_process, wait_until_up
from local.tls import AUTHORITY

if TYPE_CHECKING:
    from pathlib import Path

_START_SECONDS = 20.0
_CALL_SECONDS = 10


class Transparent(Upstream):
    """An upstream that gets requests unchanged, since the functions' signatures cover the Host header."""

    async def start(self) -> None:
        """Open the connections, over TLS with the local certificate authority."""
        connector = TCPConnector(ssl=ssl.create_default_context(cafile=str(AUTHORITY)), limit=0)
        self.session = ClientSession(
            connector=connector, timeout=ClientTimeout(total=600, connect=30), auto_decompress=False
        )

    def _outbound_headers(self, request: web.Request) -> dict[str, str]:
        headers: dict[str, str] = super()._outbound_headers(request)
        return headers | {"host": request.headers["Host"]}


def serve(port: int, upstream: str, seed: int) -> None:
    """Serve on loopback until the process receives a signal to end."""
    # microburst uses the global random generator.
    random.seed(seed)
    proxy = Microburst(upstream)
    proxy.upstream = Transparent(upstream, stats=proxy.stats)
    web.run_app(make_app(proxy), host=HOST, port=port, print=None, access_log=None)


@dataclass
class Proxy:
    """The fault layer in a separate process, as a context manager. The functions call ``url``."""

    folder: Path
    port: int = field(default_factory=free_port)
    _pid: int | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """The endpoint that the functions use."""
        return f"http://{HOST}:{self.port}"

    def start(self, upstream: str, seed: int = 0) -> Self:
        """Start in front of ``upstream``, without faults. Raises LocalError if it does not start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "fault-layer.log"
        command = [sys.executable, "-m", "chaos.proxy", str(self.port), upstream, str(seed)]
        process = start_process(command, log, cwd=ROOT)
        failed = f"the fault layer did not start on port {self.port}. Its log: {log}"
        wait_until_up(process, self._answers, _START_SECONDS, failed)
        self._pid = process.pid
        return self

    def stop(self) -> None:
        """Stop it."""
        if self._pid is not None:
            stop_process(self._pid)
            self._pid = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def set_faults(self, rules: list[dict[str, Any]]) -> None:
        """Replace all microburst rules with these."""
        requests.post(self._control("rules"), json=rules, timeout=_CALL_SECONDS).raise_for_status()

    def add_fault(self, rule: dict[str, Any]) -> None:
        """Add this rule after the existing ones."""
        requests.patch(self._control("rules"), json=[rule], timeout=_CALL_SECONDS).raise_for_status()

    def fired(self) -> dict[str, int]:
        """Return how many faults have been injected, by service, operation and kind."""
        counts: dict[str, int] = {}
        text = requests.get(self._control("metrics"), timeout=_CALL_SECONDS).text
        for line in text.splitlines():
            if line.startswith("microburst_faults_total{"):
                labels, _, value = line.removeprefix("microburst_faults_total{").rpartition("} ")
                fields = dict(part.split("=", 1) for part in labels.split(",") if "=" in part)
                # The kind of a latency fault includes its milliseconds.
                fields["action"] = re.sub(r":\d+ms", "", fields["action"])
                kind = " ".join(fields[name].strip('"') for name in ("service", "operation", "action"))
                counts[kind] = counts.get(kind, 0) + int(float(value))
        return counts

    def _control(self, what: str) -> str:
        return f"{self.url}/_microburst/{what}"

    def _answers(self) -> bool:
        with suppress(requests.RequestException):
            return requests.get(self._control("health"), timeout=1).ok
        return False


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
