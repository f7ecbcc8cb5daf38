import re
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from payments.cards import MASK, has_card, luhn, redact


def with_check_digit(digits: str) -> str:
    return next(digits + check for check in "0123456789" if luhn(digits + check))


cards = st.text("0123456789", min_size=12, max_size=18).map(with_check_digit)


@given(cards, st.sampled_from(["", " ", "-", ".", "_", " - "]))
def test_every_card_number_is_found(card: str, separator: str) -> None:
    grouped = separator.join(card[at : at + 4] for at in range(0, len(card), 4))
    assert has_card(f"my card {grouped}, thanks")
    assert redact(f"my card {grouped}, thanks") == f"my card {MASK}, thanks"


@pytest.mark.parametrize(
    "text",
    ["order 123 {}", "{} 12/27", "{}-123", "1.{}", "{} {}", "\uff14" + "{}"[:0] + "{}"],
)
def test_other_numbers_beside_it_do_not_hide_it(text: str) -> None:
    card = "4242424242424242"
    written = text.format(card, card) if "\uff14" not in text else card.replace("4", "\uff14")
    assert has_card(written)
    assert card not in redact(written)


# Test numbers of the schemes, of every length that they issue.
ISSUED = [
    *["4222222222222", "4242424242424242", "4000000000000000006"],
    *["5555555555554444", "2223003122003222", "2720999999999996"],
    *["378282246310005", "341111111111111", "30569309025904", "36227206271667", "38520000023237"],
    *["3530111333300000", "2200000000000004", "9792030394440796"],
    *["6011111111111117", "6200000000000005", "6304000000000000", "6799990100000000019", "5018000000000009"],
]


@pytest.mark.parametrize("card", ISSUED)
@given(cuts=st.sets(st.integers(1, 12), max_size=6), separator=st.sampled_from([" ", "-", ".", "_", " - "]))
def test_what_a_scheme_issues_is_found_however_it_is_grouped(card: str, cuts: set[int], separator: str) -> None:
    assert luhn(card)
    ends = [*sorted(cuts), len(card)]
    grouped = separator.join(card[start:end] for start, end in pairwise([0, *ends]))
    assert redact(f"my card {grouped}, thanks") == f"my card {MASK}, thanks"


@given(
    st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    st.sampled_from(["%Y-%m-%d-", "%Y%m%d-", "%y%m%d-", "%Y-%m-%d_", "16-%Y%m%d-"]),
    st.text("0123456789", min_size=2, max_size=7),
)
def test_a_dated_number_is_no_card(day: date, form: str, counter: str) -> None:
    dated = day.strftime(form)
    digits = re.sub(r"\D", "", dated)
    assume(not digits.startswith(("3", "4", "5", "6", "8", "9")))
    checked = f"{dated}{with_check_digit(digits + counter)[len(digits) :]}"
    assert not has_card(f"order-{checked}")


@given(cards)
def test_one_wrong_digit_is_no_card(card: str) -> None:
    wrong = card[:-1] + str((int(card[-1]) + 1) % 10)
    assert not has_card(wrong)
    assert redact(wrong) == wrong


@pytest.mark.parametrize(
    "text", ["order-1001", "4242 4242", "2026-01-01T00:00:00.000000Z", "12345678901234567890", "2026-11-23 15:54:12 4"]
)
def test_no_card(text: str) -> None:
    assert not has_card(text)
