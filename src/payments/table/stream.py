"""The records of the table's stream, read as changes of payments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments.domain.change import Change, DeadLetter
from payments.domain.errors import PoisonError
from payments.runtime.telemetry import logger
from payments.table.items import from_item

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from payments.domain.payment import Payment


def changes(records: Iterable[dict[str, Any]]) -> Iterator[Change | DeadLetter]:
    """Yield the change in each record; the removal of an item yields nothing."""
    for record in records:
        try:
            change = change_of(record)
        except PoisonError as error:
            yield DeadLetter(
                reason=str(error),
                event=record["eventName"],
                stream=record.get("eventSourceARN", ""),
                sequence_number=str(record["dynamodb"].get("SequenceNumber", "")),
                transaction_id=record["dynamodb"].get("Keys", {}).get("transaction_id", {}).get("S", ""),
            )
        else:
            if change is not None:
                yield change


def change_of(record: dict[str, Any]) -> Change | None:
    """Return the change that a record holds, or None if it removes an item.

    Raises PoisonError if the record holds no payment.
    """
    if record["eventName"] == "REMOVE":
        return None
    images = record["dynamodb"]
    if "NewImage" not in images:
        raise PoisonError("the record has no NewImage: the stream must carry NEW_AND_OLD_IMAGES")
    new, old = from_item(images["NewImage"]), _before(images)
    # Put back as a new item, or over a damaged one.
    return Change(new, old, restored=bool(new.restored_at) and old is None)


def _before(images: dict[str, Any]) -> Payment | None:
    if "OldImage" not in images:
        return None
    try:
        return from_item(images["OldImage"])
    except PoisonError as error:
        # Somebody has repaired the item, so everything in it is new.
        logger.warning("the old item could not be read", reason=str(error))
        return None
