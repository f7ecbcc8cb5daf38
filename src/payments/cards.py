r"""Card numbers: find one in any text, and mask it.

A card number is 13 to 19 digits that begin as one of the card schemes' numbers do, have a length which that scheme
issues, and pass the Luhn check; digits may stand in groups, with spaces or dashes between. The schemes' beginnings matter:
one number in ten passes Luhn, and without them one in ten of the clients' own ids made from a clock would be refused.

UUIDs are left out of the search for groups. None of their groups is as long as a card number, and a random one would now
and then look like a number written in groups.
"""

from __future__ import annotations

import re
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MIN_DIGITS = 13
MAX_DIGITS = 19
_KEPT = 4

# Beginning, and the lengths that are issued with it.
_SCHEMES = tuple(
    (re.compile(beginning), frozenset(lengths))
    for beginning, lengths in (
        ("4", (13, 16, 18, 19)),  # Visa
        ("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),  # Mastercard
        ("3[47]", (15,)),  # American Express
        ("30[0-5]|3095|3[689]", range(14, 20)),  # Diners Club
        ("35", range(16, 20)),  # JCB
        ("6", range(13, 20)),  # Discover, UnionPay, Maestro, RuPay
        ("50|5[6-8]", range(13, 20)),  # Maestro, Elo, Verve
        ("220[0-4]", range(16, 20)),  # Mir
        ("8[12]", range(16, 20)),  # UnionPay, RuPay
        ("8600|9792|9860", (16,)),  # Uzcard, Troy, Humo
    )
)

_SEPARATORS = "[ \\-\u00a0\u2010-\u2015\u2212]"
# \d also takes digits of other scripts, which a form might send.
_GROUPS = re.compile(rf"\d+(?:{_SEPARATORS}{{1,3}}\d+)*")
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9A-Za-z])", re.IGNORECASE)


def passes_luhn(digits: str) -> bool:
    """Say whether a string of digits ends in the right check digit."""
    numbers = [int(digit) for digit in reversed(digits)]
    doubled = (2 * number for number in numbers[1::2])
    return (sum(numbers[::2]) + sum(number - 9 if number > 9 else number for number in doubled)) % 10 == 0  # noqa: PLR2004


def is_card_number(digits: str) -> bool:
    """Say whether bare digits are a card number."""
    plain = "".join(str(int(digit)) for digit in digits)
    return any(len(plain) in lengths and beginning.match(plain) for beginning, lengths in _SCHEMES) and passes_luhn(plain)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where card numbers stand, from left to right, none over another."""
    # Replaced by as many letters, so that places stay what they are.
    searched = _UUID.sub(lambda uuid: "x" * len(uuid.group()), text)
    for run in _GROUPS.finditer(searched):
        groups = [match.span() for match in re.finditer(r"\d+", run.group())]
        first = 0
        while first < len(groups):
            # From this group on: one group, two, three, while together they are not longer than a card number.
            lengths = takewhile(lambda total: total <= MAX_DIGITS, accumulate(end - start for start, end in groups[first:]))
            counts = [count for count, total in enumerate(lengths, 1) if total >= MIN_DIGITS]
            for count in reversed(counts):
                digits = "".join(run.group()[start:end] for start, end in groups[first : first + count])
                if is_card_number(digits):
                    last = first + count - 1
                    yield run.start() + groups[first][0], run.start() + groups[last][1]
                    first = last
                    break
            first += 1


def holds_card_number(text: str) -> bool:
    """Say whether a card number stands anywhere in a text."""
    return next(_spans(text), None) is not None


def mask(text: str) -> str:
    """Return a text with every card number in it made unreadable but for its last four digits."""
    parts: list[str] = []
    done = 0
    for start, end in _spans(text):
        number = "".join(character for character in text[start:end] if character.isdecimal())
        parts += [text[done:start], f"[card number ending {number[-_KEPT:]}]"]
        done = end
    return "".join([*parts, text[done:]])
