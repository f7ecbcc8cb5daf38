"""The API's requests: what a payment may say, checked field by field, so that every wrong one is named at once."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from payments.cards import has_card
from payments.money import Money, MoneyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_METADATA = 20
MAX_METADATA_KEY = 40
MAX_TEXT = 500

TRANSACTION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
CUSTOMER_ID = re.compile(r"[A-Za-z0-9_.:@-]{1,128}")
PAYMENT_METHOD = re.compile(r"[A-Za-z0-9_-]{1,128}")
CURRENCY = re.compile(r"[A-Z]{3}")
# SQS and SNS take no U+FFFE and U+FFFF: such a payment would be stored, and could never be relayed.
_CONTROL = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")


class FieldError(Struct, frozen=True):
    """One wrong field, by its JSON pointer (RFC 6901), and what would be right. The value is never repeated."""

    pointer: str
    detail: str


class RequestError(Exception):
    """A request that cannot be accepted, with every reason."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__(", ".join(error.pointer for error in errors))
        self.errors = errors


class NotJsonError(Exception):
    """A body that is not a JSON object in UTF-8."""


class PaymentRequest(Struct, frozen=True):
    """A request for a payment, checked."""

    transaction_id: str
    customer_id: str
    money: Money
    payment_method: str
    description: str | None
    metadata: dict[str, str] | None

    def fingerprint(self) -> str:
        """Return the SHA-256 of what the request asks for: equal for two ways to write the same request."""
        canonical = msgspec.json.encode(
            [
                self.transaction_id,
                self.customer_id,
                self.money.minor,
                self.money.currency,
                self.payment_method,
                self.description,
                sorted((self.metadata or {}).items()),
            ]
        )
        return hashlib.sha256(canonical).hexdigest()


def pointer(*parts: str) -> str:
    """Return the JSON pointer to a member (RFC 6901)."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


class _InvalidError(Exception):
    """A field is wrong; the message says what would be right."""


def _text(raw: Raw) -> str:
    try:
        text = msgspec.json.decode(raw, type=str)
    except msgspec.MsgspecError as error:
        raise _InvalidError("must be a string") from error
    if has_card(text):
        raise _InvalidError("holds a card number: send a token of the payment gateway, never the number itself")
    return text


def _matching(pattern: re.Pattern[str]) -> Callable[[Raw], str]:
    def decode(raw: Raw) -> str:
        text = _text(raw)
        if not pattern.fullmatch(text):
            raise _InvalidError(f"must match ^{pattern.pattern}$")
        return text

    return decode


def _description(raw: Raw) -> str:
    text = _text(raw)
    if not 0 < len(text) <= MAX_TEXT or _CONTROL.search(text):
        raise _InvalidError(f"must be 1 to {MAX_TEXT} characters, none of them a control character")
    return text


def _amount(raw: Raw) -> str:
    """Return the amount's decimal text as it was sent, whether as a number or as a string: no float lies between."""
    text = bytes(raw).decode()
    if text.startswith('"'):
        return _text(raw)
    if text[:1] not in "-0123456789":
        raise _InvalidError("must be a number or a decimal string")
    return text


_FIELDS: dict[str, Callable[[Raw], str]] = {
    "transaction_id": _matching(TRANSACTION_ID),
    "customer_id": _matching(CUSTOMER_ID),
    "amount": _amount,
    "currency": _matching(CURRENCY),
    "payment_method": _matching(PAYMENT_METHOD),
    "description": _description,
}
_OPTIONAL = {"currency", "description", "metadata"}


def _metadata_errors(metadata: dict[str, Raw], accepted: dict[str, str]) -> Iterator[FieldError]:
    if len(metadata) > MAX_METADATA:
        yield FieldError("/metadata", f"must have at most {MAX_METADATA} members")
    for number, (key, raw) in enumerate(metadata.items()):
        if has_card(key):
            # By its place: the key itself must not be repeated.
            yield FieldError("/metadata", f"the name of member {number + 1} holds a card number")
            continue
        if not 0 < len(key) <= MAX_METADATA_KEY or _CONTROL.search(key):
            yield FieldError(
                "/metadata", f"the name of member {number + 1} must have 1 to {MAX_METADATA_KEY} characters"
            )
            continue
        try:
            text = _text(raw)
        except _InvalidError as error:
            yield FieldError(pointer("metadata", key), str(error))
            continue
        if len(text) > MAX_TEXT or _CONTROL.search(text):
            yield FieldError(
                pointer("metadata", key), f"must be at most {MAX_TEXT} characters, none of them a control character"
            )
        accepted[key] = text


def _member_errors(members: dict[str, Raw], values: dict[str, Any]) -> Iterator[FieldError]:
    """Put every member that is right into ``values`` and yield what is wrong with the others."""
    for name in _FIELDS.keys() - _OPTIONAL - members.keys():
        yield FieldError(pointer(name), "is required")
    for name, raw in members.items():
        try:
            if name == "metadata":
                accepted: dict[str, str] = {}
                yield from _metadata_errors(msgspec.json.decode(raw, type=dict[str, Raw]), accepted)
                values[name] = accepted or None
            elif name in _FIELDS:
                values[name] = _FIELDS[name](raw)
            else:
                yield FieldError("" if has_card(name) else pointer(name), "is not a field of a payment")
        except msgspec.MsgspecError:
            yield FieldError(pointer(name), "must be an object of strings")
        except _InvalidError as error:
            yield FieldError(pointer(name), str(error))


def parse(body: bytes, default_currency: str) -> PaymentRequest:
    """Read the body of ``POST /payments``.

    Raises NotJsonError where it is no JSON object, and RequestError, with every wrong field, where it asks for no
    payment that could be made.
    """
    try:
        members = msgspec.json.decode(body, type=dict[str, Raw])
        # Raw members are looked at lazily; one strict pass makes sure that all of it is JSON.
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotJsonError from error

    values: dict[str, Any] = {}
    errors = list(_member_errors(members, values))
    money: Money | None = None
    if "amount" in values and ("currency" in values or "currency" not in members):
        currency = values.get("currency", default_currency)
        try:
            money = Money.parse(values["amount"], currency)
        except MoneyError as error:
            wrong = "currency" if "ISO 4217" in str(error) else "amount"
            errors.append(FieldError(pointer(wrong), str(error)))
    if errors or money is None:
        raise RequestError(sorted(errors, key=lambda error: error.pointer))
    return PaymentRequest(
        transaction_id=values["transaction_id"],
        customer_id=values["customer_id"],
        money=money,
        payment_method=values["payment_method"],
        description=values.get("description"),
        metadata=values.get("metadata"),
    )
