"""Find card numbers (PANs): 13 to 19 digits, grouped or not, that pass the Luhn check (ISO/IEC 7812-1).

Neighbouring groups of digits are joined across a few spaces, dots, hyphens and low lines, whatever other numbers stand
before or after them: any number in the groups of a card, and in other groups what a card scheme issues. Of the order
numbers that begin with a date, one in ten would else be taken for a card. The groups of a UUID are not joined, nor are
those of a time: no colon sets apart.
"""

import re
from collections.abc import Iterator

_GROUP = re.compile(r"\d+")
_GAP = re.compile(r"[\s._\u2010-\u2015-]{1,3}")
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
_LENGTHS = range(13, 20)
# Seldom needed, and so compiled by whoever needs them first. How many digits each group has, on a card: fours and a
# rest, American Express, Diners Club.
_PRINTED = r"(?:4,){3,4}[1-4]|4,6,5|4,6,4"
# What the schemes issue, by their published ranges and lengths.
_ISSUED = (
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|09|[689]\d)\d{11,16}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|(?:220[0-4]\d|8[12]\d{3}|9792\d)\d{11,14}"  # Mir, RuPay, Troy
    r"|(?:5[06-9]|6\d)\d{11,17}"  # Discover, Maestro, RuPay, UnionPay, Verve
)
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
        sizes: list[str] = []
        end = start
        for at, until in groups[first:]:
            if digits and not _GAP.fullmatch(text, end, at):
                break
            digits += text[at:until]
            sizes.append(str(until - at))
            end = until
            if len(digits) >= _LENGTHS.stop:
                break
            if len(digits) not in _LENGTHS or not luhn(digits):
                continue
            if len(sizes) == 1 or re.fullmatch(_PRINTED, ",".join(sizes)) or re.fullmatch(_ISSUED, digits):
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
