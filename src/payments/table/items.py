"""A payment as a DynamoDB item, and its keys in the indexes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from payments.domain.clock import timestamp
from payments.domain.errors import PoisonError
from payments.domain.lifecycle import OPEN
from payments.domain.payment import Payment

if TYPE_CHECKING:
    from datetime import datetime

# An index key can take 1 000 writes a second. A customer's payments are spread over this many keys of the customer
# index, and the payments that are not final over this many of the open index. The numbers can grow but never shrink:
# items that were written under a key must still be found (docs/decisions/0006).
CUSTOMER_SHARDS = 8

OPEN_SHARDS = 16

# A day's charged payments are spread over as many keys as there are charges at the same time, at most.
CHARGED_SHARDS = 16


def customer_key(customer_id: str, shard: int) -> str:
    """Return a key of the customer index; no customer_id contains the separator."""
    return f"{customer_id}#{shard}"


def _shard(transaction_id: str, shards: int) -> int:
    return int.from_bytes(hashlib.sha256(transaction_id.encode()).digest()[:4]) % shards


def open_key(transaction_id: str) -> str:
    """Return a payment's key in the open index, where it stays until it is final."""
    return str(_shard(transaction_id, OPEN_SHARDS))


def charged_key(transaction_id: str, at: datetime) -> str:
    """Return the charged index's key for a payment that was charged then; days are in UTC."""
    return f"{timestamp(at)[:10]}#{_shard(transaction_id, CHARGED_SHARDS)}"


def to_attribute(value: Any) -> dict[str, Any]:  # noqa: ANN401 - what msgspec makes of a struct
    """Write a plain value as a DynamoDB attribute, without a map's members that are None."""
    match value:
        case str():
            return {"S": str(value)}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case dict():
            return {"M": {name: to_attribute(part) for name, part in value.items() if part is not None}}
        case _:
            raise TypeError(f"no attribute holds a {type(value).__name__}")


def to_item(payment: Payment) -> dict[str, Any]:
    """Write a payment as a DynamoDB item, with its keys for the indexes."""
    plain = {name: value for name, value in msgspec.structs.asdict(payment).items() if value not in (None, "")}
    plain |= {"refunds": msgspec.to_builtins(payment.refunds), "disputes": msgspec.to_builtins(payment.disputes)}
    if not payment.disputes:
        del plain["disputes"]
    plain["customer_shard"] = customer_key(payment.customer_id, _shard(payment.transaction_id, CUSTOMER_SHARDS))
    if payment.status in OPEN:
        plain |= {"open_shard": open_key(payment.transaction_id), "open_from": payment.created_at}
    item: dict[str, Any] = to_attribute(plain)["M"]
    return item


def _plain(attribute: dict[str, Any], name: str) -> Any:  # noqa: ANN401 - any value of an item
    match attribute:
        case {"S": str(text)}:
            return text
        case {"N": str(number)}:
            return int(number)
        case {"BOOL": bool(truth)}:
            return truth
        case {"M": dict(entries)}:
            return {key: _plain(entry, f"{name}.{key}") for key, entry in entries.items()}
        case _:
            raise PoisonError(f"the attribute {name} has a type that no payment has")


def from_item(item: dict[str, Any]) -> Payment:
    """Read a payment from a DynamoDB item; raises PoisonError if it is not a payment."""
    try:
        plain = {name: _plain(item[name], name) for name in Payment.__struct_fields__ if name in item}
        return msgspec.convert(plain, Payment)
    except (msgspec.ValidationError, ValueError) as error:
        raise PoisonError(f"not a payment: {error}") from error
