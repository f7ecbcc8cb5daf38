"""Follow a stack for the console's readers: payments by the table's stream, and the queues' counts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local import LocalError
from ops.dead_letters import QueueClient, dead_letter_queues, work_queues
from ops.failures import explain
from ops.payment import view_of
from ops.stream import Feed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ops.stack import Stack

Event = tuple[str, Any]

# Local only: an account's stream is shared with the relay and read more slowly.
_POLL_SECONDS = 0.4
_COUNT_SECONDS = 1.5
_KEPT = 200
# A reader who is further behind than this starts again with the current state.
_BEHIND = 1000


class Listener:
    """A reader of a pulse, in the event loop that makes it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # None is the end.
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(_BEHIND)

    def tell(self, event: Event | None) -> None:
        """Hand over an event, from any thread; None is the last one."""
        with suppress(RuntimeError):  # the loop has closed, and nobody reads
            self._loop.call_soon_threadsafe(self._put, event)

    def _put(self, event: Event | None) -> None:
        if self._events.full():
            while not self._events.empty():
                self._events.get_nowait()
            event = None
        self._events.put_nowait(event)

    async def events(self, heartbeat_seconds: float) -> AsyncIterator[Event | None]:
        """Yield events as they come, and None whenever there was none for so long."""
        while True:
            try:
                async with asyncio.timeout(heartbeat_seconds):
                    event = await self._events.get()
            except TimeoutError:
                yield None
                continue
            if event is None:
                return
            yield event


@dataclass
class Pulse:
    """Watches a stack in a thread of its own, and tells every listener what changes."""

    stack: Stack
    _payments: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict, init=False)
    _queues: list[dict[str, Any]] = field(default_factory=list, init=False)
    _trouble: str | None = field(default=None, init=False)
    _listeners: set[Listener] = field(default_factory=set, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _stopping: threading.Event = field(default_factory=threading.Event, init=False)
    _counted: float = field(default=float("-inf"), init=False)

    def start(self) -> threading.Thread:
        """Begin to watch."""
        thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Stop watching, and end every listener."""
        with self._lock:
            self._stopping.set()
            for listener in self._listeners:
                listener.tell(None)

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """Yield a listener. Its first event is the current state."""
        listener = Listener()
        with self._lock:
            state = {"payments": list(self._payments.values()), "queues": self._queues, "trouble": self._trouble}
            listener.tell(("state", state))
            if self._stopping.is_set():
                listener.tell(None)
            self._listeners.add(listener)
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def count_soon(self) -> None:
        """Count the queues at the next poll: an action may have changed them."""
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

    def _tell(self, name: str, data: Any) -> None:  # noqa: ANN401 - any JSON value
        with self._lock:
            for listener in self._listeners:
                listener.tell((name, data))
