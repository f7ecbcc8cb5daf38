"""Send the changes in the table's stream to the queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from payments.domain.change import Change, DeadLetter
from payments.domain.lifecycle import OPEN, Status
from payments.domain.message import WORK, Message
from payments.runtime.telemetry import logger, measure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from payments.domain.payment import Payment
    from payments.usecases.ports import Queues


class RelayError(Exception):
    """Not everything was sent. The whole batch is delivered again; receivers drop repeats."""


def messages_of(change: Change) -> list[Message]:
    """Return the messages for a change.

    News is a new status of the charge or of a refund, a new action for the customer, and a change of a dispute. A
    payment that is redriven, or restored over a damaged item, is news too.
    """
    new, old = change.new, change.old
    again = old is not None and (new.redrives > old.redrives or new.restored_at != old.restored_at)
    if change.restored:
        # Past outcomes were announced when they happened. Only an open payment needs a message.
        old, again = new, True
    messages = [*_of_the_charge(new, old, again=again), *_of_refunds(new, old, again=again), *_of_disputes(new, old)]
    if len(messages) > 1 and sum(message.event not in WORK for message in messages) > 1:
        # Each version has one announcement, except for an item that could not be read before.
        messages = [msgspec.structs.replace(message, one_of_several=True) for message in messages]
    return messages


def _of_the_charge(new: Payment, old: Payment | None, *, again: bool) -> list[Message]:
    # Once the charge is final, only refunds change the status, and each of them is announced itself.
    asked = new.next_action != "" and old is not None and old.next_action != new.next_action
    news = old is None or (old.status in OPEN and old.status != new.status)
    if new.status in _OF_A_CHARGE and (news or ((again or asked) and new.status in OPEN)):
        return [_message(new, "payment.validated" if again and new.status in OPEN else f"payment.{new.status}")]
    return []


def _of_refunds(new: Payment, old: Payment | None, *, again: bool) -> list[Message]:
    messages = []
    for refund_id, refund in new.refunds.items():
        before = old.refunds.get(refund_id) if old else None
        open_again = again and refund.status in OPEN
        if open_again or before is None or before.status != refund.status:
            messages.append(_message(new, _REFUND_VALIDATED if open_again else _OF_A_REFUND[refund.status], refund_id))
    return messages


def _of_disputes(new: Payment, old: Payment | None) -> list[Message]:
    messages = []
    for dispute_id, dispute in new.disputes.items():
        if old is None or old.disputes.get(dispute_id) != dispute:
            event = "payment.dispute_closed" if dispute.closed else "payment.disputed"
            messages.append(_message(new, event, dispute_id=dispute_id))
    return messages


def _message(payment: Payment, event: str, refund_id: str | None = None, dispute_id: str | None = None) -> Message:
    if event not in WORK:
        # An announcement does not need the payment method.
        payment = msgspec.structs.replace(payment, payment_method="", fingerprint="")
    return Message(event, payment, refund_id, dispute_id)


_OF_A_CHARGE = {Status.VALIDATED, Status.PROCESSED, Status.FAILED, Status.UNKNOWN}

_REFUND_VALIDATED = "refund.validated"

_OF_A_REFUND = {
    Status.VALIDATED: _REFUND_VALIDATED,
    Status.PROCESSED: "payment.refunded",
    Status.FAILED: "payment.refund_failed",
    Status.UNKNOWN: "payment.refund_unknown",
}


class Relay:
    """Sends messages to the processor and the notifier, and sets aside what no retry can relay."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def send(self, changes: Iterable[Change | DeadLetter]) -> int:
        """Send the messages for the changes and return their number.

        Raises RelayError if a message was not accepted: a partial result alone would be lost on a stream whose mapping
        ignores it.
        """
        messages: list[Message] = []
        # A stream waits for its oldest record: no retry fixes these, and all behind them would wait for a day.
        letters: list[DeadLetter] = []
        for change in changes:
            if isinstance(change, Change):
                messages += messages_of(change)
            else:
                logger.error("no payment", sequence_number=change.sequence_number, reason=change.reason)
                letters.append(change)
        total = len(messages) + len(letters)
        failures: list[str] = []
        for sent in self._queues.send(messages):
            if sent.for_good:
                logger.error("refused for its content", reason=sent.reason, **sent.message.log_fields())
                name = sent.message.payment.transaction_id
                letters.append(DeadLetter(sent.reason, sent.message.event, name))
            elif sent.reason:
                failures.append(sent.reason)
            else:
                _log_relayed(sent.message)
        failures += filter(None, self._queues.reject(letters))
        if failures:
            raise RelayError(f"{len(failures)} records were not relayed: {sorted(set(failures))}")
        return total


def _log_relayed(message: Message) -> None:
    logger.info("relayed", **message.log_fields())
    if message.event == "payment.disputed":
        # Counted here and not by the writer: a failure here is retried, and the write is not repeated.
        measure("Disputed")
        logger.warning("a charge is disputed", **message.log_fields())
