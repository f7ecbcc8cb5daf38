"""Read the bodies of requests, and check every field. An error names all invalid fields and repeats no value.

The fields here and ``payments.api.operations`` generate the OpenAPI document, and through it API Gateway's models and
the tests.

Each limit is checked before the work that it limits: a body's size before its JSON, an object's size before its names,
a text's length before the search for card numbers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from payments.api.answers import FieldError
from payments.domain.cards import has_card
from payments.domain.commands import PaymentRequest, RefundRequest
from payments.domain.currencies import EXPONENTS, WITHDRAWN
from payments.domain.ids import CUSTOMER_ID, REFUND_ID, TRANSACTION_ID
from payments.domain.money import MAX_TEXT as MAX_AMOUNT
from payments.domain.money import UNKNOWN_CURRENCY, Money, MoneyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from payments.domain.errors import InvalidFieldError


MAX_METADATA = 20

MAX_METADATA_KEY = 40

MAX_TEXT = 500

# The largest body in bytes. The longest description and metadata have 11 300 characters, each at most two escapes of
# six bytes (\ud83d\udcb3): 136 KB. The other fields and all names take 3 KB as escapes; the rest is for white space.
MAX_BODY = 160 * 1024

# The longest token of a page in characters; ours have at most 152.
MAX_TOKEN = 256

PAYMENT_METHOD = re.compile(r"[A-Za-z0-9_-]{1,128}")

# Stripe's prefixes, which other gateways use too: secret, restricted and ephemeral keys, and the signing secrets of
# webhooks (https://docs.stripe.com/keys). A publishable key (pk_) is no secret: the gateway declines it.
# A key that includes its mode is recognised anywhere in a text.
SECRET_KEY = re.compile(r"(^|-)([SsRrEe][Kk]_|[Ww][Hh][Ss][Ee][Cc]_)|[SsRrEe][Kk]_([Ll][Ii][Vv][Ee]|[Tt][Ee][Ss][Tt])_")

CURRENCY = re.compile(r"[A-Z]{3}")

# No control characters (C0, C1), and no U+FFFE or U+FFFF, which SQS and SNS refuse: a payment with one would be stored
# but could never be relayed.
_PLAIN = r"[^\x00-\x1f\x7f-\x9f\ufffe\uffff]"

DESCRIPTION = re.compile(rf"{_PLAIN}{{1,{MAX_TEXT}}}")

METADATA_KEY = re.compile(rf"{_PLAIN}{{1,{MAX_METADATA_KEY}}}")

METADATA_VALUE = re.compile(rf"{_PLAIN}{{0,{MAX_TEXT}}}")

DECIMAL = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")

DEFAULT_LIMIT = 20

# The most items that BatchGetItem accepts in one call.
MAX_LIMIT = 100


class BadRequestError(Exception):
    """A request that cannot be accepted. ``errors`` holds what is wrong with its fields, if they could be read."""

    def __init__(self, errors: Iterable[FieldError] = ()) -> None:
        self.errors = sorted(errors, key=lambda error: error.pointer)
        super().__init__(", ".join(error.pointer for error in self.errors))


class RequestError(BadRequestError):
    """Some fields are invalid."""

    @classmethod
    def of(cls, error: InvalidFieldError) -> RequestError:
        """Return the API's form of a domain error, with the field's JSON pointer."""
        return cls([FieldError(pointer(error.field), error.detail)])


class NotJsonError(BadRequestError):
    """The body is not a JSON object in UTF-8."""


class TooLargeError(BadRequestError):
    """The body is larger than ``MAX_BODY``."""


class Field(Struct, frozen=True):
    """A member of a request: its JSON Schema, and the function that reads it, which raises ``_InvalidError``."""

    schema: dict[str, Any]
    read: Callable[[Any], Any]
    required: bool = True


def pointer(*parts: str) -> str:
    """Return the JSON pointer to a member (RFC 6901)."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


class _InvalidError(ValueError):
    """A member's value, or a value inside it, is invalid."""

    def __init__(self, detail: str = "", inside: list[FieldError] | None = None) -> None:
        super().__init__(detail)
        self.inside = inside


class _Number(str):
    """A JSON number as its original text, so that it never becomes a float."""

    __slots__ = ()


class _Object(dict[str, Any]):
    """A JSON object, its original number of members, and the names that appear more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.members = len(pairs)
        counts = Counter(name for name, _ in pairs) if len(self) < len(pairs) else {}
        self.repeated = {name for name, count in counts.items() if count > 1}

    def check_size(self, most: int) -> None:
        if self.members > most:
            raise _InvalidError(f"must have at most {most} members")


def _refuse(constant: str) -> Any:  # noqa: ANN401 - it never returns
    raise ValueError(f"{constant} is not JSON")


def _text(value: object) -> str:
    if not isinstance(value, str) or isinstance(value, _Number):
        raise _InvalidError("must be a string")
    return value


def _no_card(text: str) -> None:
    if has_card(text):
        raise _InvalidError("contains a card number: send a token from the payment gateway instead")


def _wrong_name(name: str) -> str | None:
    """Return why a client's name must not be repeated in an answer or in the log; None if it may be."""
    if not METADATA_KEY.fullmatch(name) or not _is_unicode(name):
        return f"must have 1 to {MAX_METADATA_KEY} characters and no control characters"
    if has_card(name):
        return "contains a card number"
    return "looks like a secret key" if _is_secret(name) else None


def _is_secret(text: str) -> bool:
    return SECRET_KEY.search(text) is not None


def _is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8: a JSON escape can be half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _matching(pattern: re.Pattern[str], description: str, *, required: bool = True) -> Field:
    def read(value: object) -> str:
        text = _text(value)
        if not pattern.fullmatch(text):
            raise _InvalidError(f"must match ^{pattern.pattern}$")
        _no_card(text)
        return text

    schema = {"type": "string", "pattern": f"^{pattern.pattern}$", "description": description}
    return Field(schema, read, required)


def _payment_method() -> Field:
    token = _matching(PAYMENT_METHOD, "A token from the payment gateway; never a card number, never a secret key.")

    def read(value: object) -> str:
        text: str = token.read(value)
        if _is_secret(text):
            raise _InvalidError("looks like a secret key: send a token from the payment gateway, and replace the key")
        return text

    return Field(token.schema | {"not": {"pattern": SECRET_KEY.pattern}}, read)


def _sentence(description: str) -> Field:
    def read(value: object) -> str:
        text = _text(value)
        if not DESCRIPTION.fullmatch(text) or not _is_unicode(text):
            raise _InvalidError(f"must have 1 to {MAX_TEXT} characters and no control characters")
        _no_card(text)
        return text

    schema = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": f"^{_PLAIN}*$"}
    return Field(schema | {"description": description}, read, required=False)


def _read_amount(value: object) -> str:
    if not isinstance(value, str):
        raise _InvalidError("must be a number or a decimal string")
    if len(value) > MAX_AMOUNT:
        raise _InvalidError(f"must have at most {MAX_AMOUNT} characters")
    _no_card(value)
    return str(value)


def _amount(description: str, *, required: bool = True) -> Field:
    schema = {
        "description": description,
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0},
            {"type": "string", "pattern": f"^{DECIMAL.pattern}$", "maxLength": MAX_AMOUNT},
        ],
    }
    return Field(schema, _read_amount, required)


def _read_currency(value: object) -> str:
    text = _text(value)
    if text not in EXPONENTS or text in WITHDRAWN:
        raise _InvalidError(UNKNOWN_CURRENCY)
    return text


def _read_metadata(value: object) -> dict[str, str] | None:
    if not isinstance(value, _Object):
        raise _InvalidError("must be an object of strings")
    value.check_size(MAX_METADATA)
    errors: list[FieldError] = []
    for number, (key, member) in enumerate(value.items(), start=1):
        if wrong := _wrong_name(key):
            # Named by its position, since the name must not be repeated.
            errors.append(FieldError("/metadata", f"the name of member {number} {wrong}"))
        elif key in value.repeated:
            errors.append(FieldError(pointer("metadata", key), "appears more than once"))
        else:
            try:
                _check_metadata_value(member)
            except _InvalidError as error:
                errors.append(FieldError(pointer("metadata", key), str(error)))
    if errors:
        raise _InvalidError(inside=errors)
    return dict(value) or None


def _check_metadata_value(value: object) -> None:
    text = _text(value)
    if not METADATA_VALUE.fullmatch(text) or not _is_unicode(text):
        raise _InvalidError(f"must have at most {MAX_TEXT} characters and no control characters")
    _no_card(text)


PAYMENT_FIELDS: dict[str, Field] = {
    "transaction_id": _matching(TRANSACTION_ID, "The client's own id of the payment: its idempotency key."),
    "customer_id": _matching(CUSTOMER_ID, "The client's own id of the customer."),
    "amount": _amount("The exact amount in the currency's major unit: a number or, better, a decimal string."),
    "currency": Field(
        {
            "type": "string",
            "enum": sorted(EXPONENTS.keys() - WITHDRAWN),
            "x-exponents": {code: EXPONENTS[code] for code in sorted(EXPONENTS.keys() - WITHDRAWN)},
            "description": "ISO 4217. Default: the deployment's currency.",
        },
        _read_currency,
        required=False,
    ),
    "payment_method": _payment_method(),
    "description": _sentence("What the payment is for."),
    "metadata": Field(
        {
            "type": "object",
            "maxProperties": MAX_METADATA,
            "propertyNames": {"minLength": 1, "maxLength": MAX_METADATA_KEY, "pattern": f"^{_PLAIN}*$"},
            "additionalProperties": {"type": "string", "maxLength": MAX_TEXT, "pattern": f"^{_PLAIN}*$"},
            "description": "The client's own notes, as strings.",
        },
        _read_metadata,
        required=False,
    ),
}

REFUND_FIELDS: dict[str, Field] = {
    "refund_id": _matching(REFUND_ID, "The client's own name of the refund: its idempotency key in its payment."),
    "amount": _amount("How much to refund. Default: the remainder.", required=False),
    "currency": msgspec.structs.replace(
        PAYMENT_FIELDS["currency"],
        schema=PAYMENT_FIELDS["currency"].schema | {"description": "The payment's currency, if you send it."},
        # There are no new payments in a withdrawn currency, but old ones can still be refunded.
        read=_matching(CURRENCY, "").read,
    ),
    "reason": _sentence("Why the money is refunded."),
}


def max_members(fields: dict[str, Field]) -> int:
    """Return how many members a request may have: an error lists a few unknown members, but not a flood."""
    return 2 * len(fields)


def _read(body: bytes, fields: dict[str, Field]) -> tuple[dict[str, Any], list[FieldError]]:
    """Return the valid members, and an error for each of the others. Raises NotJsonError."""
    try:
        members = json.loads(
            body.decode(), object_pairs_hook=_Object, parse_float=_Number, parse_int=_Number, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise NotJsonError from error
    if not isinstance(members, _Object):
        raise NotJsonError
    try:
        members.check_size(max_members(fields))
    except _InvalidError as error:
        raise RequestError([FieldError("", str(error))]) from error
    values: dict[str, Any] = {}
    errors = [
        FieldError(pointer(name), "is required")
        for name, field in fields.items()
        if field.required and name not in members
    ]
    for name, value in members.items():
        field = fields.get(name)
        if field is None:
            errors.append(FieldError("" if _wrong_name(name) else pointer(name), "is not a field of this request"))
        elif name in members.repeated:
            errors.append(FieldError(pointer(name), "appears more than once"))
        else:
            try:
                values[name] = field.read(value)
            except _InvalidError as error:
                errors += error.inside or [FieldError(pointer(name), str(error))]
    return values, errors


def _same_key(name: str, values: dict[str, Any], key: str | None) -> list[FieldError]:
    if key is None or name not in values or key == values[name]:
        return []
    return [FieldError(pointer(name), "must equal the Idempotency-Key header, if you send it")]


def parse_payment(
    body: bytes, key: str | None, default_currency: str, limits: Mapping[str, int] | None = None
) -> PaymentRequest:
    """Read the body of ``POST /payments``, with the Idempotency-Key header.

    ``limits`` holds the largest amount by currency, in minor units. Raises NotJsonError if the body is not
    a JSON object, and RequestError, with every invalid field, if some are invalid.
    """
    values, errors = _read(body, PAYMENT_FIELDS)
    errors += _same_key("transaction_id", values, key)
    money: Money | None = None
    if "amount" in values and not any(error.pointer == "/currency" for error in errors):
        currency = values.get("currency", default_currency)
        limit = (limits or {}).get(currency)
        try:
            money = Money.parse(values["amount"], currency)
            if limit is not None and money.minor > limit:
                errors.append(FieldError("/amount", f"must not be above {Money(limit, currency)} {currency}"))
        except MoneyError as error:
            errors.append(FieldError("/amount", str(error)))
    if errors or money is None:
        raise RequestError(errors)
    return PaymentRequest(
        transaction_id=values["transaction_id"],
        customer_id=values["customer_id"],
        money=money,
        payment_method=values["payment_method"],
        description=values.get("description"),
        metadata=values.get("metadata"),
    )


def parse_refund(body: bytes, key: str | None) -> RefundRequest:
    """Read the body of ``POST /payments/{transaction_id}/refunds``, with the Idempotency-Key header.

    Raises NotJsonError and RequestError as ``parse_payment`` does.
    """
    values, errors = _read(body, REFUND_FIELDS)
    errors += _same_key("refund_id", values, key)
    if errors:
        raise RequestError(errors)
    return RefundRequest(values["refund_id"], values.get("amount"), values.get("currency"), values.get("reason"))
