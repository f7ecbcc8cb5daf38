"""Find card numbers (PANs): 13 to 19 digits, grouped or not, that pass the Luhn check (ISO/IEC 7812-1).

Digits that stand together are a group; groups may be set apart by a few spaces, dots, hyphens and low lines. Any
neighbouring groups that make up a card number count, whatever other numbers stand before or after them. The groups of a
UUID are not joined: one in four hundred would else be taken for a card. Nor are those of a time: no colon sets apart.
"""

import re
from collections.abc import Iterator

_GROUP = re.compile(r"\d+")
_GAP = re.compile(r"[\s._\u2010-\u2015-]{1,3}")
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
_LENGTHS = range(13, 20)
MASK = "[card number]"


def luhn(digits: str) -> bool:
    """Say whether a string of digits passes the Luhn check."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - the sum of a two-digit number's digits
    return total % 10 == 0


def _cards(text: str) -> Iterator[tuple[int, int]]:
    """Yield where card numbers begin and end, from left to right; they may overlap."""
    if "-" in text:
        # No run of digits in a UUID is as long as a card number.
        text = _UUID.sub(lambda match: "x" * len(match[0]), text)
    groups = [(match.start(), match.end()) for match in _GROUP.finditer(text)]
    for first, (start, _) in enumerate(groups):
        digits = ""
        end = start
        for at, until in groups[first:]:
            if digits and not _GAP.fullmatch(text, end, at):
                break
            digits += text[at:until]
            end = until
            if len(digits) >= _LENGTHS.stop:
                break
            if len(digits) in _LENGTHS and luhn(digits):
                yield start, end


def has_card(text: str) -> bool:
    """Say whether a text holds a card number."""
    return next(_cards(text), None) is not None


def redact(text: str) -> str:
    """Return the text with every card number masked."""
    kept: list[str] = []
    done = 0
    for start, end in _cards(text):
        if start >= done:
            kept += [text[done:start], MASK]
        done = max(done, end)
    return "".join(kept) + text[done:]
