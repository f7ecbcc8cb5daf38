"""Amounts as Stripe counts them, which is not always as ISO 4217 does (https://docs.stripe.com/currencies).

Stripe's ``amount`` is in its own smallest unit. For most currencies that is ISO 4217's; the ariary has none there; the
krona and the Ugandan shilling, which have none in ISO 4217, are sent in hundredths that must be zero. The last digit
of a three-decimal amount must be zero too. An amount that would have to be rounded is refused: the charge is always
the validated amount. The forint and the Taiwan dollar have rules for payouts only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payments.domain.currencies import EXPONENTS
from payments.domain.money import Money

if TYPE_CHECKING:
    from collections.abc import Mapping


# The currencies that Stripe charges, by card or otherwise. If an account may not, Stripe says so itself.
_CODES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP CNY
COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR
ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK
MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD
SHP SLE SOS SRD STN SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XCG XOF XPF YER
ZAR ZMW
"""

SUPPORTED = frozenset(_CODES.split())

# How many decimals Stripe's unit has, where ISO 4217's has another number.
_DECIMALS: Mapping[str, int] = {"ISK": 2, "MGA": 0, "UGX": 2}

_THREE = 3


class AmountError(ValueError):
    """An amount that Stripe cannot charge exactly; ``code`` says why, in a stable word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def to_stripe(money: Money) -> int:
    """Return Stripe's amount; raises AmountError if Stripe has no such currency or no such amount of it."""
    if money.currency not in SUPPORTED:
        raise AmountError("currency_not_supported")
    exponent = EXPONENTS[money.currency]
    shift = _DECIMALS.get(money.currency, exponent) - exponent
    amount, rest = (int(money.minor * 10**shift), 0) if shift >= 0 else divmod(money.minor, 10**-shift)
    if rest or (exponent == _THREE and amount % 10):
        raise AmountError("amount_not_representable")
    return amount


def from_stripe(amount: int, currency: str) -> Money:
    """Return the money that an amount of Stripe's is; raises AmountError if it is not."""
    code = currency.upper()
    if code not in SUPPORTED:
        raise AmountError("currency_not_supported")
    shift = EXPONENTS[code] - _DECIMALS.get(code, EXPONENTS[code])
    minor, rest = (int(amount * 10**shift), 0) if shift >= 0 else divmod(amount, 10**-shift)
    if rest:
        raise AmountError("amount_not_representable")
    return Money(minor, code)
