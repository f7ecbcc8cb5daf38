"""What the use cases need of the world. The handlers wire what implements it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from payments.domain.change import UnreadableRecord
    from payments.domain.message import Message


class Queues(Protocol):
    """Where the relay sends messages."""

    def send(self, messages: Sequence[Message]) -> Iterator[tuple[Message, str]]:
        """Send messages, work to the processor and outcomes to the notifier.

        Yields each message as it is answered, with the reason where it was not taken, and an empty one where it was.
        Raises UnavailableError where the queues do not answer.
        """

    def reject(self, records: Sequence[UnreadableRecord]) -> Iterator[str]:
        """Set unreadable records aside for an operator, and yield for each the reason why it was not taken."""


class Publisher(Protocol):
    """Where announcements go."""

    def publish(
        self, events: dict[str, tuple[dict[str, Any], dict[str, str]]], *, in_time: Callable[[], bool]
    ) -> dict[str, str]:
        """Publish CloudEvents, each with what subscribers can filter by, and return why any was not published."""
