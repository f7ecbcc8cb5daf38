"""Money: a whole number of minor units and a currency. No float, anywhere.

What an amount may look like is decided here, once:

- A JSON number stands for its value, so ``10.5``, ``10.50`` and ``1.05e1`` are the same amount, read exactly.
- A string is plain decimal notation: digits, and optionally a point and digits. No sign, exponent, space or leading zero.
- The value has to be above zero (``-0`` is zero), a whole number of minor units (``10.001`` is no amount of USD, ``10.500``
  is), and at most ``MAX_MINOR`` of them. Nothing is ever rounded.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Self

import msgspec

from payments.currencies import EXPONENTS, WITHOUT_MINOR_UNIT

MAX_MINOR = 999_999_999_999
"""Twelve digits: what card networks carry in an amount."""

# Longer than any amount in range; it keeps the arithmetic below small whatever is sent.
_MAX_TEXT = 40
_STRING = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
# At most two digits of exponent: enough for every amount in range, and no number that takes memory to write out.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")


class AmountError(ValueError):
    """The amount cannot be one. The message is for the client and does not repeat it."""


class CurrencyError(ValueError):
    """The currency cannot be charged in. The message is for the client and does not repeat it."""


def exponent(currency: str) -> int:
    """Return how many decimals a currency has."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        if currency in WITHOUT_MINOR_UNIT:
            raise CurrencyError("has no minor unit in ISO 4217, so no exact amount can be charged in it") from None
        raise CurrencyError("must be an ISO 4217 code of three capital letters, such as USD") from None


def decimal_from_string(text: str) -> Decimal:
    """Read an amount that was sent as a string."""
    return _decimal(text, _STRING, 'must be a plain decimal such as "10.50": digits, and a point and digits if need be')


def decimal_from_number(text: str) -> Decimal:
    """Read an amount that was sent as a JSON number, from the very characters that were sent."""
    return _decimal(text, _NUMBER, "must be a JSON number or a decimal string")


def _decimal(text: str, pattern: re.Pattern[str], otherwise: str) -> Decimal:
    if len(text) > _MAX_TEXT:
        raise AmountError("is too long to be an amount")
    if not pattern.fullmatch(text):
        raise AmountError(otherwise)
    value = Decimal(text)
    if value <= 0:
        raise AmountError("must be greater than zero")
    return value


class Money(msgspec.Struct, frozen=True):
    """An exact amount: ``minor`` minor units (cents, yen, fils) of ``currency``."""

    minor: int
    currency: str

    @classmethod
    def of(cls, value: Decimal, currency: str) -> Self:
        """Return the money that a decimal amount stands for, or raise: never a rounded one."""
        decimals = exponent(currency)
        # Whole-number arithmetic: a Decimal operation would round to its context's precision.
        sign, digits, power = value.as_tuple()
        if not isinstance(power, int):
            raise AmountError("must be a number")
        if sign or value == 0:
            raise AmountError("must be greater than zero")
        if value.adjusted() > _MAX_TEXT or power < -2 * _MAX_TEXT:
            raise AmountError("is out of range")
        minor = int("".join(map(str, digits)))
        power += decimals
        if power >= 0:
            minor *= 10**power
        else:
            minor, remainder = divmod(minor, 10**-power)
            if remainder:
                allowed = {0: "no decimals", 1: "at most 1 decimal"}.get(decimals, f"at most {decimals} decimals")
                raise AmountError(f"has more decimals than its currency, which has {allowed}")
        if minor > MAX_MINOR:
            raise AmountError("is out of range: at most 12 digits of minor units")
        return cls(minor, currency)

    def decimal_string(self) -> str:
        """Return the amount in major units, with exactly its currency's decimals: ``10.50``."""
        decimals = exponent(self.currency)
        if decimals == 0:
            return str(self.minor)
        whole, part = divmod(self.minor, 10**decimals)
        return f"{whole}.{part:0{decimals}d}"
