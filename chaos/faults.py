"""The faults and their times, all derived from the seed."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import psutil
from botocore.exceptions import ClientError

from local import LocalError

if TYPE_CHECKING:
    from chaos.proxy import Proxy
    from local.server import EmbeddedAWS
    from ops.stack import Stack

_THROTTLED = {"code": "ProvisionedThroughputExceededException"}
_LOST_REPLY = {"response": {"abort_bytes": 0}}


def background() -> list[dict[str, Any]]:
    """Return the faults that are always on, as microburst rules: each hits a few calls in a hundred."""
    return [
        # At least once: in a short run, chance may spare a service that is rarely called.
        *({"service": service, "times": 1, **_LOST_REPLY} for service in ("dynamodb", "sqs", "sns")),
        {"service": "dynamodb", "probability": 0.02, "error": _THROTTLED},
        {"service": "dynamodb", "probability": 0.01, "error": {"code": "InternalServerError", "status": 500}},
        {"service": "dynamodb", "probability": 0.02, "reset": True},
        # The worst fault: the write takes effect, and the caller never learns that it did.
        {"service": "dynamodb", "operation": "PutItem", "probability": 0.03, **_LOST_REPLY},
        {"service": "dynamodb", "operation": "UpdateItem", "probability": 0.03, **_LOST_REPLY},
        # Cut off, with a matching length: botocore reads it as an empty answer.
        {"service": "*", "probability": 0.02, "response": {"truncate_frac": 0.5}},
        {"service": "sqs", "probability": 0.03, "error": {"code": "ThrottlingException", "status": 400}},
        {"service": "sqs", "probability": 0.02, "reset": True},
        {"service": "sqs", "probability": 0.03, **_LOST_REPLY},
        {"service": "sns", "probability": 0.03, "error": {"code": "Throttling", "status": 400}},
        {"service": "sns", "probability": 0.02, "reset": True},
        {"service": "sns", "probability": 0.03, **_LOST_REPLY},
        {"service": "*", "probability": 0.02, "latency": {"min": 100, "max": 1500}},
    ]


@dataclass
class Storm:
    """Injects faults in a separate thread, as a context manager: the background faults, and one event after another.

    It does not end before each kind of event has occurred once, however soon the load is done. A server that keeps its
    state is restarted once, after that first round.
    """

    stack: Stack
    proxy: Proxy
    server: EmbeddedAWS
    seed: int
    pause: float = 2.0
    counts: Counter[str] = field(default_factory=Counter)
    _round_done: threading.Event = field(default_factory=threading.Event, init=False)
    _over: threading.Event = field(default_factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _died: Exception | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        self.proxy.set_faults(background())
        self._thread = threading.Thread(target=self._blow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self._round_done.wait()
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self.proxy.set_faults([])
        self._mapping_enabled(enabled=True)
        self.counts.update(self.proxy.fired())
        if self._died is not None:
            raise LocalError(f"fault injection stopped: {self._died}") from self._died

    def _blow(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - it is raised again where the storm is over
            self._died = error
        finally:
            self._round_done.set()

    def _run(self) -> None:
        chance = random.Random(self.seed)  # noqa: S311 - it is to be repeated, not to be secret
        events = [self._kill_a_worker, self._duplicate, self._gateway_down, self._pause_the_queue]
        once = [self._restart] if self.server.persist else []
        while not self._over.is_set():
            # Each kind occurs once before any occurs twice.
            chance.shuffle(events)
            for event in [*events, *once]:
                if self._over.wait(chance.uniform(0.5, 1.5) * self.pause):
                    return
                event(chance)
            once = []
            self._round_done.set()

    def _kill_a_worker(self, chance: random.Random) -> None:
        """Kill a function's process, in the middle of any work."""
        workers = sorted(_workers(self.server.pid))
        if workers:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
                self.counts["worker killed"] += 1

    def _restart(self, _chance: random.Random) -> None:
        """Stop the embedded AWS and its functions in the middle of their work, and restart it with its saved state."""
        self.server.restart()
        self.counts["embedded AWS restarted"] += 1

    def _duplicate(self, chance: random.Random) -> None:
        """Send some messages a second time, in another order."""
        url = self.stack.outputs[chance.choice(["validator_queue_url", "processor_queue_url"])]
        got = self.stack.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=2)
        messages = got.get("Messages", [])
        chance.shuffle(messages)
        for message in messages:
            self.stack.sqs.send_message(QueueUrl=url, MessageBody=message["Body"])
            self.counts["message duplicated"] += 1

    def _gateway_down(self, chance: random.Random) -> None:
        """Stop the gateway's answers for a while; half the time it still acts on requests."""
        ledger = self.stack.outputs["simulator_ledger_table_name"]
        acts = chance.random() < 0.5  # noqa: PLR2004
        fault: dict[str, Any] = _LOST_REPLY if acts else {"reset": True}
        seconds = chance.uniform(1, 4)
        self.proxy.add_fault({"service": "dynamodb", "body": f"TableName == '{ledger}'", "ttl_s": seconds} | fault)
        self._over.wait(seconds)
        self.counts["gateway down"] += 1

    def _pause_the_queue(self, chance: random.Random) -> None:
        """Pause the processor's queue for a while."""
        self._mapping_enabled(enabled=False)
        self._over.wait(chance.uniform(1, 4))
        self._mapping_enabled(enabled=True)
        self.counts["queue paused"] += 1

    def _mapping_enabled(self, *, enabled: bool) -> None:
        functions = self.stack.functions
        name = self.stack.outputs["function_names"]["processor"]
        for mapping in functions.list_event_source_mappings(FunctionName=f"{name}:live")["EventSourceMappings"]:
            with suppress(ClientError):
                functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)


def _workers(server_pid: int | None) -> list[int]:
    """Return the functions' processes: the server's children, and the children of those."""
    if server_pid is None:
        return []
    try:
        return [worker.pid for worker in psutil.Process(server_pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def wait_until(done: Any, seconds: float, every: float = 1.0) -> bool:  # noqa: ANN401 - any callable
    """Wait until ``done()`` is true, but no longer than ``seconds``; return whether it became true."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
