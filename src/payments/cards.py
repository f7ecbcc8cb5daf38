"""Find card numbers (PANs): 13 to 19 digits, grouped or not, that pass the Luhn check (ISO/IEC 7812-1)."""

import re

# Digits with at most one space or hyphen between two of them.
_CANDIDATE = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
MASK = "[card number]"


def luhn(digits: str) -> bool:
    """Say whether a string of digits passes the Luhn check."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - the sum of a two-digit number's digits
    return total % 10 == 0


def _is_card(text: str) -> bool:
    return luhn(text.replace(" ", "").replace("-", ""))


def has_card(text: str) -> bool:
    """Say whether a text holds a card number."""
    return any(_is_card(match.group()) for match in _CANDIDATE.finditer(text))


def redact(text: str) -> str:
    """Return the text with every card number masked."""
    return _CANDIDATE.sub(lambda match: MASK if _is_card(match.group()) else match.group(), text)
