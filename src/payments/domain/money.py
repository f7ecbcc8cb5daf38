"""Exact money: a count of minor units and a currency. There is no float here, and no rounding.

An amount is read from its decimal text. ``10``, ``10.0``, ``10.00`` and ``1e1`` are the same amount. Zero, ``-0`` and
negative numbers are refused. So are more than 12 digits of minor units, and more decimals than the currency has unless
the extra ones are zeros.
"""

from __future__ import annotations

import re
from typing import Self

from msgspec import Struct

from payments.domain.currencies import EXPONENTS

MAX_DIGITS = 12

# The longest text of an amount: far more than 12 digits need.
MAX_TEXT = 64

UNKNOWN_CURRENCY = "is not the code of an ISO 4217 currency"

# JSON's grammar for a number.
_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,3}))?")


class MoneyError(ValueError):
    """An amount that cannot be charged; the message may be shown to the caller, and repeats no value."""


class CurrencyError(MoneyError):
    """A currency that cannot be charged in."""


class Money(Struct, frozen=True):
    """An amount in minor units (cents, yen, fils) of an ISO 4217 currency."""

    minor: int
    currency: str

    @classmethod
    def parse(cls, text: str, currency: str) -> Self:
        """Read a decimal number.

        Raises MoneyError if it is not a number, not above zero, too fine for the currency or too large, and
        CurrencyError if the currency does not exist.
        """
        exponent = EXPONENTS.get(currency)
        if exponent is None:
            raise CurrencyError(UNKNOWN_CURRENCY)
        match = _NUMBER.fullmatch(text) if len(text) <= MAX_TEXT else None
        if match is None:
            raise MoneyError("must be a decimal number")
        sign, whole, fraction, power = match.groups(default="")
        digits = (whole + fraction).lstrip("0")
        if sign or not digits:
            raise MoneyError("must be above zero")
        significant = digits.rstrip("0")
        # The amount is significant * 10 ** shift minor units.
        shift = exponent + int(power or 0) - len(fraction) + len(digits) - len(significant)
        if shift < 0:
            raise MoneyError(f"has more than the {exponent} decimals that {currency} has")
        if len(significant) + shift > MAX_DIGITS:
            raise MoneyError(f"has more than {MAX_DIGITS} digits in the currency's minor unit")
        return cls(int(significant) * 10**shift, currency)

    def __str__(self) -> str:
        """Return the amount as a decimal, with as many decimals as the currency has."""
        exponent = EXPONENTS[self.currency]
        if exponent == 0:
            return str(self.minor)
        digits = str(self.minor).rjust(exponent + 1, "0")
        return f"{digits[:-exponent]}.{digits[-exponent:]}"
