"""What moves in a stack, for everybody who looks: payments by the table's stream, and how full the queues are."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from queue import Full, Queue
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local import LocalError
from ops.dead_letters import QueueClient, dead_letter_queues, work_queues
from ops.failures import explain
from ops.payment import view_of
from ops.stream import Feed

if TYPE_CHECKING:
    from ops.stack import Stack

Event = tuple[str, Any]

# Local only: an account's stream is shared with the relay and read more slowly.
_POLL_SECONDS = 0.4
_COUNT_SECONDS = 1.5
_KEPT = 200
# Who reads more slowly than this is behind for good, and begins anew.
_BEHIND = 1000


@dataclass
class Pulse:
    """Watches a stack in a thread of its own, and tells every listener what changes."""

    stack: Stack
    _payments: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict, init=False)
    _queues: list[dict[str, Any]] = field(default_factory=list, init=False)
    _trouble: str | None = field(default=None, init=False)
    _listeners: set[Queue[Event]] = field(default_factory=set, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _stopping: threading.Event = field(default_factory=threading.Event, init=False)
    _counted: float = field(default=float("-inf"), init=False)

    def start(self) -> threading.Thread:
        """Begin to watch."""
        thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Watch no more."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether it has been stopped."""
        return self._stopping.is_set()

    def listen(self) -> Queue[Event]:
        """Return a queue of what happens from now on; its first event is how everything stands."""
        listener: Queue[Event] = Queue(_BEHIND)
        with self._lock:
            state = {"payments": list(self._payments.values()), "queues": self._queues, "trouble": self._trouble}
            listener.put(("state", state))
            self._listeners.add(listener)
        return listener

    def tells(self, listener: Queue[Event]) -> bool:
        """Whether a listener is still told: who reads too slowly is not."""
        with self._lock:
            return listener in self._listeners

    def forget(self, listener: Queue[Event]) -> None:
        """Tell a listener no more."""
        with self._lock:
            self._listeners.discard(listener)

    def count_soon(self) -> None:
        """Count the queues at the next beat: something has just been sent."""
        self._counted = float("-inf")

    def _run(self) -> None:
        feed, client = Feed(self.stack, "TRIM_HORIZON"), QueueClient(self.stack)
        while not self._stopping.wait(_POLL_SECONDS):
            try:
                for record in feed.poll():
                    self._changed(record)
                if time.monotonic() - self._counted > _COUNT_SECONDS:
                    self._counted = time.monotonic()
                    self._count(client)
                trouble = None
            except (ClientError, BotoCoreError, LocalError) as error:
                trouble = str(error) if isinstance(error, LocalError) else explain(error)
            if trouble != self._trouble:
                self._trouble = trouble
                self._tell("trouble", trouble)

    def _changed(self, record: dict[str, Any]) -> None:
        view = view_of(record)
        if view is None:
            return
        with self._lock:
            known = self._payments.get(view["transaction_id"])
            moves = [*known["moves"]] if known else []
            if not moves or moves[-1]["status"] != view["status"]:
                moves.append({"status": view["status"], "at": view["updated_at"]})
            view["moves"] = moves
            self._payments[view["transaction_id"]] = view
            self._payments.move_to_end(view["transaction_id"])
            while len(self._payments) > _KEPT:
                self._payments.popitem(last=False)
        self._tell("payment", view)

    def _count(self, client: QueueClient) -> None:
        queues = [
            {"name": name, "dead": dead, "label": queue.url.rpartition("/")[2], **asdict(client.counts(queue))}
            for dead, found in ((False, work_queues(self.stack)), (True, dead_letter_queues(self.stack)))
            for name, queue in found.items()
        ]
        if queues != self._queues:
            self._queues = queues
            self._tell("queues", queues)

    def _tell(self, name: str, data: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
        with self._lock:
            for listener in list(self._listeners):
                try:
                    listener.put_nowait((name, data))
                except Full:
                    self._listeners.discard(listener)
