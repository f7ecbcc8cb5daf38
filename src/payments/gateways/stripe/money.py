"""Stripe's amounts, which sometimes have another unit than in ISO 4217 (https://docs.stripe.com/currencies).

Stripe's ``amount`` is in its own smallest unit, which for most currencies is ISO 4217's. The ariary has none at Stripe.
The krona and the Ugandan shilling have none in ISO 4217, and are sent in hundredths that must be zero. The last digit
of a three-decimal amount must be zero too. An amount that would need rounding is refused, so the charge is always the
validated amount. The forint and the Taiwan dollar have rules for payouts only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payments.domain.currencies import EXPONENTS
from payments.domain.money import Money

if TYPE_CHECKING:
    from collections.abc import Mapping


# The currencies that Stripe charges in, by card or otherwise. If an account may not use one, Stripe refuses it.
_CODES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP CNY
COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR
ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK
MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD
SHP SLE SOS SRD STN SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XCG XOF XPF YER
ZAR ZMW
"""

SUPPORTED = frozenset(_CODES.split())

# The number of decimals of Stripe's unit, if it differs from ISO 4217.
_DECIMALS: Mapping[str, int] = {"ISK": 2, "MGA": 0, "UGX": 2}

_THREE = 3


class AmountError(ValueError):
    """An amount that Stripe cannot charge exactly; ``code`` is the reason, a stable term."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def to_stripe(money: Money) -> int:
    """Return Stripe's amount; raises AmountError if Stripe does not support the currency or the amount."""
    if money.currency not in SUPPORTED:
        raise AmountError("currency_not_supported")
    exponent = EXPONENTS[money.currency]
    shift = _DECIMALS.get(money.currency, exponent) - exponent
    amount, rest = (int(money.minor * 10**shift), 0) if shift >= 0 else divmod(money.minor, 10**-shift)
    if rest or (exponent == _THREE and amount % 10):
        raise AmountError("amount_not_representable")
    return amount


def from_stripe(amount: int, currency: str) -> Money:
    """Return a Stripe amount as money; raises AmountError if it is not a valid amount here."""
    code = currency.upper()
    if code not in SUPPORTED:
        raise AmountError("currency_not_supported")
    shift = EXPONENTS[code] - _DECIMALS.get(code, EXPONENTS[code])
    minor, rest = (int(amount * 10**shift), 0) if shift >= 0 else divmod(amount, 10**-shift)
    if rest:
        raise AmountError("amount_not_representable")
    return Money(minor, code)
