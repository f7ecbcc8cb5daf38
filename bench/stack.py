"""The benchmark's own stack: an embedded AWS whose functions record each call that they make."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from local import LocalError
from local.server import EmbeddedAWS
from ops import running
from ops.client import create_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.client import Keys
    from ops.display import Step
    from ops.stack import Stack

PROBE = Path(__file__).parent / "probe"


class AwsCall(NamedTuple):
    """A call that a function made to AWS; ``entries`` is the number of entries in a batch call."""

    function: str
    operation: str
    table: str
    entries: int


class Process(NamedTuple):
    """The resources that a process has used so far."""

    cpu_seconds: float
    memory_mb: float


class ProbedAWS(EmbeddedAWS):
    """An embedded AWS whose functions record their calls."""

    @property
    def calls_file(self) -> Path:
        """The file that the calls are recorded in."""
        return self.state_dir / "calls.log"

    def _server_environment(self) -> dict[str, str]:
        return super()._server_environment() | {"PYTHONPATH": str(PROBE), "BENCH_CALLS": str(self.calls_file)}


@dataclass
class Bench:
    """A deployed stack, and what can be measured from outside."""

    embedded: ProbedAWS
    stack: Stack
    keys: Keys
    _read: int = field(default=0, init=False)
    _calls: list[AwsCall] = field(default_factory=list, init=False)

    def calls(self) -> list[AwsCall]:
        """Return every call so far."""
        if self.embedded.calls_file.exists():
            with self.embedded.calls_file.open(encoding="utf-8") as file:
                file.seek(self._read)
                # A line that is still being written is read next time.
                whole = file.read().rpartition("\n")[0]
                self._read += len(whole) + (1 if whole else 0)
            for line in whole.splitlines():
                _, function, operation, table, entries = line.split(" ")
                self._calls.append(AwsCall(function, operation, table, int(entries)))
        return self._calls

    def announced(self) -> int:
        """Return how many announcements have been published."""
        return sum(call.entries for call in self.calls() if call.operation == "PublishBatch")

    def wait_for(self, announcements: int, seconds: float) -> None:
        """Wait until this many have been published. Raises LocalError if that takes too long."""
        deadline = time.monotonic() + seconds
        while self.announced() < announcements:
            if time.monotonic() > deadline:
                raise LocalError(f"only {self.announced()} of {announcements} payments were announced in time")
            time.sleep(0.05)

    def processes(self) -> dict[str, Process]:
        """Return the resources that each process has used, by function; ``server`` is the embedded AWS itself."""
        server = psutil.Process(self.embedded.pid)
        found = {"server": _used_by(server)}
        for worker in server.children():
            try:
                name = worker.environ().get("AWS_LAMBDA_FUNCTION_NAME", "-other").split("-")[1]
                taken = _used_by(worker)
            except psutil.Error:
                continue  # the process has ended
            before = found.get(name, Process(0, 0))
            found[name] = Process(before.cpu_seconds + taken.cpu_seconds, max(before.memory_mb, taken.memory_mb))
        return found


def _used_by(process: psutil.Process) -> Process:
    times = process.cpu_times()
    return Process(times.user + times.system, process.memory_info().rss / 1e6)


def per_payment(calls: list[AwsCall], payments: int, ledger: str) -> dict[str, float]:
    """Return the calls for a payment, by function and operation; the simulator's ledger counts as the gateway."""
    counted = Counter(f"{call.function} {call.operation}" for call in calls if call.table != ledger)
    return {name: count / payments for name, count in sorted(counted.items())}


@contextmanager
def deployed(folder: Path, step: Step) -> Iterator[Bench]:
    """Start an embedded AWS, deploy the stack to it, and stop it at the end."""
    place = running.Place(folder)
    with ProbedAWS(place.folder) as embedded:
        stack = running.deploy(running.terraform(place, embedded.url), embedded.url, step)
        yield Bench(embedded, stack, create_client(stack))
