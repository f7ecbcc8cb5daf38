from decimal import Decimal

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.domain.currencies import EXPONENTS, WITHDRAWN
from payments.domain.money import MAX_DIGITS, Money, MoneyError

currencies = st.sampled_from(sorted(EXPONENTS))
moneys = st.builds(Money, st.integers(1, 10**MAX_DIGITS - 1), currencies)


@given(moneys)
def test_what_is_written_is_read_again(money: Money) -> None:
    assert Money.parse(str(money), money.currency) == money


@given(moneys)
def test_the_decimal_is_the_amount_exactly(money: Money) -> None:
    assert Decimal(str(money)) * 10 ** EXPONENTS[money.currency] == money.minor


@given(moneys, st.integers(0, 5))
def test_zeros_at_the_end_change_nothing(money: Money, zeros: int) -> None:
    text = str(money)
    text += ("" if "." in text else ".") + "0" * zeros if zeros else ""
    assert Money.parse(text, money.currency) == money


@given(moneys)
def test_an_exponent_is_exact(money: Money) -> None:
    assert Money.parse(f"{money.minor}e-{EXPONENTS[money.currency]}", money.currency) == money


@given(st.text(max_size=20), currencies)
def test_any_text_is_an_amount_or_refused(text: str, currency: str) -> None:
    try:
        money = Money.parse(text, currency)
    except MoneyError:
        return
    assert Decimal(text) * 10 ** EXPONENTS[currency] == money.minor


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("0.1", "USD", 10),
        ("10", "USD", 1000),
        ("1e3", "USD", 100000),
        ("1E+3", "JPY", 1000),
        ("500", "JPY", 500),
        ("500.00", "JPY", 500),
        ("1.234", "KWD", 1234),
        ("1.2345", "CLF", 12345),
        ("9999999999.99", "USD", 999999999999),
    ],
)
def test_amounts(text: str, currency: str, minor: int) -> None:
    assert Money.parse(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("text", "currency", "reason"),
    [
        ("0", "USD", "above zero"),
        ("-0", "USD", "above zero"),
        ("0.00", "USD", "above zero"),
        ("-1", "USD", "above zero"),
        ("0.001", "USD", "more than the 2 decimals"),
        ("0.5", "JPY", "more than the 0 decimals"),
        ("10000000000.00", "USD", "more than 12 digits"),
        ("1e999", "USD", "more than 12 digits"),
        ("1e-999", "USD", "decimals"),
        ("1e99999999", "USD", "decimal number"),
        ("01", "USD", "decimal number"),
        ("1,5", "USD", "decimal number"),
        ("NaN", "USD", "decimal number"),
        ("Infinity", "USD", "decimal number"),
        (" 1", "USD", "decimal number"),
        ("\u0661", "USD", "decimal number"),
        ("1", "XXX", "ISO 4217"),
    ],
)
def test_refused(text: str, currency: str, reason: str) -> None:
    with pytest.raises(MoneyError, match=reason):
        Money.parse(text, currency)


def test_the_table_is_the_published_one() -> None:
    """The table has exactly the currencies with a minor unit in the package ``iso4217``, with their exponents."""
    published = {one.code: one.exponent for one in iso4217.Currency if one.exponent is not None}
    assert {code: exponent for code, exponent in EXPONENTS.items() if code not in WITHDRAWN} == published


@pytest.mark.parametrize("code", sorted(WITHDRAWN))
def test_a_withdrawn_currency_can_still_be_read(code: str) -> None:
    assert str(Money(1250, code)) == "12.50"
