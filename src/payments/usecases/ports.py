"""The use cases' needs from outside, as Protocols. The handlers wire the implementations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from payments.domain.change import DeadLetter
    from payments.domain.message import Message, Sent
    from payments.domain.payment import DisputeRecord, GatewayResult, Payment, RefundRecord


class Clock(Protocol):
    """A clock."""

    def __call__(self) -> datetime:
        """Return the time, in UTC."""


class PaymentBatch(Protocol):
    """Payments that were read together."""

    def get(self, transaction_id: str) -> Payment | None:
        """Return a payment of the batch, or None if the table has none.

        Raises UnavailableError if it could not be read, and PoisonError if what is stored is no payment.
        """


class Payments(Protocol):
    """The stored payments. Each method raises UnavailableError if the store does not answer."""

    def accept(self, payment: Payment) -> Payment:
        """Store a payment unless its id is taken, and return the payment that has the id now."""

    def get(self, transaction_id: str) -> Payment | None:
        """Return a payment as it is now, or None."""

    def get_batch(self, transaction_ids: Iterable[str]) -> PaymentBatch:
        """Read payments as they are now, up to 100."""

    def record(self, transaction_id: str, event: str, at: datetime, result: GatewayResult | None = None) -> bool:
        """Record one transition of a payment; return False if another transition was first."""

    def record_refund(
        self, transaction_id: str, refund_id: str, event: str, at: datetime, result: GatewayResult | None = None
    ) -> bool:
        """Record one transition of a refund, and the one of its payment that follows; return False as above."""

    def add_refund(self, payment: Payment, refund_id: str, refund: RefundRecord) -> bool:
        """Add a refund to a payment that has not changed since it was read; return whether it was added."""

    def record_dispute(self, transaction_id: str, dispute_id: str, dispute: DisputeRecord, at: datetime) -> bool:
        """Record the gateway's report on a dispute; return whether it was new."""

    def redrive(self, payment: Payment, at: datetime) -> bool:
        """Send an open payment through the queue again; return whether it was sent."""

    def close(self, payment: Payment) -> bool:
        """Remove a final payment from the index of open payments; return whether it was there."""


class PaymentsByCharge(Protocol):
    """Finds a payment by the gateway's reference to its charge."""

    def find(self, reference: str) -> str | None:
        """Return the payment's id, or None. Raises UnavailableError if the store does not answer."""


class PaymentsByDay(Protocol):
    """Finds the payments that were charged on a day, in UTC."""

    def on(self, day: str) -> Iterator[str]:
        """Yield the payments' ids. Raises UnavailableError if the store does not answer."""


class Queues(Protocol):
    """The queues that the relay sends messages to."""

    def send(self, messages: Sequence[Message]) -> Iterator[Sent]:
        """Send messages, tasks to the processor and outcomes to the notifier, and yield the result of each.

        A refused message does not hold up any other, on either queue.
        """

    def reject(self, letters: Sequence[DeadLetter]) -> Iterator[str]:
        """Set letters aside for an operator, and yield for each the reason if that failed, or an empty one."""


class Publisher(Protocol):
    """Publishes announcements."""

    def publish(
        self, events: dict[str, tuple[dict[str, Any], dict[str, str]]], *, in_time: Callable[[], bool]
    ) -> dict[str, str]:
        """Publish CloudEvents, each with attributes for subscribers' filters, and return why any was not published."""
