import pytest
from hypothesis import given
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
