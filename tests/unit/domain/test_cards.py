import re
import sys
import unicodedata
import uuid
from datetime import date, datetime
from itertools import pairwise
from types import FrameType
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from payments.domain import cards as cards_module
from payments.domain.cards import MASK, has_card, redact


def luhn(digits: str) -> bool:
    """The check as the standard states it, to compare with the sums that the search computes."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def with_check_digit(digits: str) -> str:
    return next(digits + check for check in "0123456789" if luhn(digits + check))


# A number of one repeated digit is no card, though thirteen zeros pass the check.
cards = st.text("0123456789", min_size=12, max_size=18).map(with_check_digit).filter(lambda card: len(set(card)) > 1)


@given(cards, st.sampled_from(["", " ", "-", ".", "_", " - "]))
def test_every_card_number_is_found(card: str, separator: str) -> None:
    grouped = separator.join(card[at : at + 4] for at in range(0, len(card), 4))
    assert has_card(f"my card {grouped}, thanks")
    assert redact(f"my card {grouped}, thanks") == f"my card {MASK}, thanks"


@pytest.mark.parametrize(
    "text",
    ["order 123 {}", "{} 12/27", "{}-123", "1.{}", "{} {}", "\uff14" + "{}"[:0] + "{}"],
)
def test_other_numbers_around_a_card_do_not_hide_it(text: str) -> None:
    card = "4242424242424242"
    written = text.format(card, card) if "\uff14" not in text else card.replace("4", "\uff14")
    assert has_card(written)
    assert card not in redact(written)


# Test numbers of the schemes, in every length that they issue.
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


# Every decimal digit in Unicode, in every script, by its value.
DIGITS: dict[int, list[str]] = {}
# The separators by the rule: those of some categories, and a sample of the others.
SEPARATORS = [*"\u30fc\uff70\u2212\u00b7\u2027\u2022\u2024\u2026\u2500\u22c5\u3002\u30fb\uff0e\uff65."]
# Tildes, as Japanese writes ranges; a dash that Unicode does not list as one; and what looks like a space or nothing.
NAMED = "~\uff5e\u223c\u02dc\u2053\u2800\u2422\u3164\uffa0\u115f\u1160\u303f"
# Unassigned and private characters are rare: these stand for all 900 000 of them.
SEPARATORS += [*NAMED, "\u2065", "\ufff0", "\ue000", "\uffff", "\U000e1000"]
for code in range(sys.maxunicode + 1):
    category = unicodedata.category(chr(code))
    if category == "Nd":
        DIGITS.setdefault(unicodedata.decimal(chr(code)), []).append(chr(code))
    elif category in {"Zs", "Zl", "Zp", "Pd", "Pc", "Cf", "Cc"} or category[0] == "M":
        SEPARATORS.append(chr(code))
WORDS = st.sampled_from(
    ["", "order-1001 ", "am 2026-11-23 um ", "\u30ab\u30fc\u30c9: ", "caf\u00e9 ", "7, ", "(", "\U0001f4b3 "]
)


@st.composite
def written_cards(draw: st.DrawFn) -> str:
    """A scheme's number with digits of any script, in any groups, with up to three separators between two groups."""
    number = draw(st.sampled_from(ISSUED))
    cuts = draw(st.sets(st.integers(1, len(number) - 1), max_size=8))
    separators = st.lists(st.sampled_from(SEPARATORS), min_size=1, max_size=3).map("".join)
    return "".join(
        (draw(separators) if place in cuts else "") + draw(st.sampled_from(DIGITS[int(digit)]))
        for place, digit in enumerate(number)
    )


@pytest.mark.parametrize("separator", [*NAMED, "\u2065", "\ufff0", "\ue000", "\uffff"])
def test_what_looks_like_a_separator_or_like_nothing_is_one(separator: str) -> None:
    assert redact(f"({separator.join(['4242'] * 4)})") == f"({MASK})"


@pytest.mark.parametrize("mark", [*"/:,;|+=x\u00d7\u2044"])
def test_what_joins_no_groups_is_no_separator(mark: str) -> None:
    assert not has_card(mark.join(["4242"] * 4))


@given(before=WORDS, card=written_cards(), after=WORDS)
def test_a_card_is_found_in_any_script_with_any_separators_at_any_place(before: str, card: str, after: str) -> None:
    text = f"{before}{card} x {after}"
    assert has_card(text)
    masked = redact(text)
    assert not has_card(masked)
    # Digits directly before the number may be masked with it.
    assert masked.endswith(f"{MASK} x {after}")
    assert before.startswith(masked.removesuffix(f"{MASK} x {after}"))


@pytest.mark.parametrize(
    "text",
    [
        "\uff14\uff12\uff14\uff12\uff14-\uff12\uff14\uff12\uff14\uff12-\uff14\uff12\uff14\uff12\uff14\uff12",
        "4242\uff0d4242\uff0d4242\uff0d4242",
        "4242\u30fc4242\u30fc4242\u30fc4242",
        "4242\uff704242\uff704242\uff704242",
        "4242\u22124242\u22124242\u22124242",
        "4242\u00b74242\u00b74242\u00b74242",
        "4242\u200b4242\u200b4242\u200b4242",
        "4242\u20104242\u30fb4242\u203f4242",
        "\u0664\u0662\u0664\u0662 \u0664\u0662\u0664\u0662 \u0664\u0662\u0664\u0662 \u0664\u0662\u0664\u0662",
    ],
)
def test_cards_that_were_once_missed_are_found(text: str) -> None:
    assert has_card(text)
    assert redact(f"a {text} b") == f"a {MASK} b"


@given(
    st.lists(st.sampled_from([*ISSUED, "4", "42", "1 ", "- ", " x ", "\uff14", "\u30fc", str(uuid.UUID(int=4**60))]))
)
def test_a_masked_text_stays_as_it_is(parts: list[str]) -> None:
    masked = redact("".join(parts))
    assert redact(masked) == masked


@given(st.text())
def test_any_text_can_be_masked(text: str) -> None:
    masked = redact(text)
    assert has_card(text) == (masked != text)
    assert redact(masked) == masked


@given(
    st.lists(st.sampled_from([*ISSUED, *map(" ".join, ISSUED), "4", "0", "4242", "x"]), max_size=40).map(" ".join),
    st.integers(18, 40),
)
def test_a_long_text_is_searched_in_blocks_and_no_card_falls_between_them(text: str, block: int) -> None:
    whole = redact(text)
    with patch.object(cards_module, "_BLOCK", block):
        assert redact(text) == whole


@pytest.mark.parametrize("before", range(cards_module._BLOCK - 20, cards_module._BLOCK + 2))  # noqa: SLF001 - its edge
def test_the_longest_card_is_found_across_two_blocks(before: int) -> None:
    assert has_card("0 " * before + " ".join("4000000000000000006"))


@pytest.mark.parametrize("digit", "0123456789")
@pytest.mark.parametrize("length", range(13, 20))
def test_one_digit_over_and_over_is_no_card(digit: str, length: int) -> None:
    assert not has_card(digit * length)
    assert not has_card(" ".join(digit * length))


@given(st.uuids(), st.integers(0, 10**9), st.datetimes(min_value=datetime(1990, 1, 1)))  # noqa: DTZ001 - any clock's
def test_ids_and_times_are_no_cards(random: uuid.UUID, number: int, moment: datetime) -> None:
    for text in (str(random), f"order-{number}", f"order {number}, {number} pieces", moment.isoformat(" ")):
        assert redact(text) == text


@pytest.mark.parametrize(
    "pattern", ["1 ", "1-1-1 - ", "4444 ", "4242424242424242 ", "0 1 0 0 ", "4\u200b2\ufe0f", "4..."]
)
def test_the_steps_grow_as_the_text_does(pattern: str) -> None:
    """The steps are counted, not timed. tests/integration/test_bench.py measures the time."""

    def steps(length: int) -> int:
        text = (pattern * length)[:length]
        counted = 0

        def count(frame: FrameType, _event: str, _: object) -> Any:
            nonlocal counted
            if frame.f_code.co_filename != cards_module.__file__:
                return None
            counted += 1
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            redact(text)
        finally:
            sys.settrace(before)
        return counted

    assert steps(8_000) <= 4.2 * steps(2_000)


@pytest.mark.parametrize(
    "text", ["order-1001", "4242 4242", "2026-01-01T00:00:00.000000Z", "12345678901234567890", "2026-11-23 15:54:12 4"]
)
def test_no_card(text: str) -> None:
    assert not has_card(text)
