"""Find card numbers (PANs): 13 to 19 digits, grouped or not, that pass the Luhn check (ISO/IEC 7812-1).

Unicode's categories decide. A digit is a character of category Nd, in any script. A separator is a space, a dash, a
connector, a mark, an invisible character, or a dot, a line or a blank by its name. A colon, a comma or a slash does not
join groups, so times, lists and paths are not joined; the groups of a UUID are not joined either.

Groups with one to three separators between them are read as one number, with any other numbers before or after them.
Grouped as on a card, any number that passes the check counts; grouped otherwise, only one that a card scheme issues.
Otherwise one in ten order numbers that start with a date would be mistaken for a card number.

The search takes time in proportion to the text: a number has 19 digits at most, so few numbers start with each group,
and the sums of the Luhn check are computed once.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import accumulate, islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Most texts have fewer than 13 digits and need no further check.
_ENOUGH = re.compile(r"(?:\D*+\d){13}")

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")

_GROUP = re.compile(r"[0-9]+")

# The separators in ASCII; all others have been replaced by spaces by then.
_CHAIN = re.compile(r"[0-9]+(?:[\x00-\x20\x7f._~-]{1,3}[0-9]+)*+")

_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])")

# All that is invisible is of category C, except what is called a blank or a filler.
_SEPARATING = ("Z", "M", "C", "Pd", "Pc")

# Punctuation and symbols that a word in their name identifies, since Unicode has no category for them.
_NAMED_SEPARATING = re.compile(
    r"\b(?:FULL STOP|DOT|BULLET|HYPHEN|HYPHENATION|MINUS|DASH|TILDE|ELLIPSIS|LEADER|HORIZONTAL|SPACE)\b"
)

# Some of these are letters.
_NAMED_OF_ANY_CATEGORY = re.compile(r"PROLONGED SOUND MARK|\b(?:BLANK|FILLER)\b")

_LENGTHS = range(13, 20)

# The number of groups that are searched together: more than a card number has digits. Without a limit, a long text
# would need so much memory that this alone would make it slow.
_BLOCK = 1024

# Rarely needed, so compiled at the first use. The number of digits in each group on a card: fours with a rest, American
# Express, Diners Club.
_PRINTED = r"(?:4,){3,4}[1-4]|4,6,5|4,6,4"

# The numbers that the schemes issue, by their published ranges and lengths.
_ISSUED = (
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|09|[689]\d)\d{11,16}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|(?:220[0-4]\d|8[12]\d{3}|9792\d)\d{11,14}"  # Mir, RuPay, Troy
    r"|(?:5[06-9]|6\d)\d{11,17}"  # Discover, Maestro, RuPay, UnionPay, Verve
)

# What each digit adds to the Luhn sum, as it is and doubled.
_PLAIN = bytes(range(10))

_DOUBLED = bytes([0, 2, 4, 6, 8, 1, 3, 5, 7, 9])

MASK = "[card number]"


def has_card(text: str) -> bool:
    """Return whether a text contains a card number."""
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


def _cards(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of card numbers, from left to right; they may overlap."""
    if not _ENOUGH.match(text):
        return
    if "-" in text:
        # No run of digits in a UUID is as long as a card number.
        text = _UUID.sub(lambda match: "x" * len(match[0]), text)
    if not text.isascii():
        text = _BEYOND_ASCII.sub(lambda match: _to_ascii(match[0]), text)
    for chain in _CHAIN.finditer(text):
        if chain.end() - chain.start() >= _LENGTHS.start:
            for groups, own in _blocks(_GROUP.finditer(text, *chain.span())):
                yield from _in_block(groups, own)


@lru_cache(maxsize=1024)
def _to_ascii(character: str) -> str:
    """Return an ASCII replacement for a character: a digit, a space for a separator, or a letter."""
    # Rarely needed, so it is not imported at the start.
    import unicodedata  # noqa: PLC0415

    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    name = unicodedata.name(character, "")
    named = _NAMED_OF_ANY_CATEGORY.search(name) or (category[0] in "PS" and _NAMED_SEPARATING.search(name))
    return " " if named or category.startswith(_SEPARATING) else "x"


def _blocks(groups: Iterator[re.Match[str]]) -> Iterator[tuple[list[re.Match[str]], int]]:
    """Yield the groups of a chain in blocks, each with the number of groups that are its own.

    The others belong to the next block, but a number that starts in this one may need them. At most two blocks are in
    memory, for a text of any length.
    """
    block = list(islice(groups, _BLOCK))
    while block:
        following = list(islice(groups, _BLOCK))
        yield block + following[: _LENGTHS.stop - 2], len(block)
        block = following


def _in_block(groups: list[re.Match[str]], own: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of the card numbers that begin in one of the block's own groups."""
    written = [group[0] for group in groups]
    digits = "".join(written)
    if len(digits) < _LENGTHS.start:
        return
    sums = _luhn_sums(digits)
    sizes = list(map(len, written))
    # The number of digits before each group, and before the end.
    before = list(accumulate(sizes, initial=0))
    for first, last in _candidates(before, own):
        begin, end = before[first], before[last]
        # The last digit is not doubled, so the parity of the end decides which digits are.
        total = sums[end % 2]
        if total[begin] == total[end] and _counts(digits[begin:end], sizes[first:last]):
            yield groups[first].start(), groups[last - 1].end()


def _candidates(before: list[int], own: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of groups, as slices, that have as many digits as a card number."""
    shortest, longest = _LENGTHS.start, _LENGTHS.stop - 1
    for first, begin in enumerate(before[:own]):
        # Each group has at least one digit.
        near = min(first + longest + 1, len(before))
        low = bisect_left(before, begin + shortest, first, near)
        for last in range(low, bisect_right(before, begin + longest, low, near)):
            yield first, last


def _luhn_sums(digits: str) -> tuple[bytes, bytes]:
    """Return the sums of a string's digits up to each place, once with even places doubled and once with odd places.

    Only the last digit of a sum counts, so each fits into a byte.
    """
    plain, doubled = (
        digits.encode().translate(bytes.maketrans(b"0123456789", values)) for values in (_PLAIN, _DOUBLED)
    )
    even, odd = bytearray(plain), bytearray(plain)
    even[::2], odd[1::2] = doubled[::2], doubled[1::2]
    sums = [accumulate(values, _last_digit, initial=0) for values in (even, odd)]
    return bytes(sums[0]), bytes(sums[1])


def _last_digit(total: int, value: int) -> int:
    return (total + value) % 10


def _counts(digits: str, sizes: list[int]) -> bool:
    """Return whether digits that pass the Luhn check, in groups of these sizes, count as a card number."""
    if digits == digits[0] * len(digits):
        return False
    if len(sizes) == 1:
        return True
    printed = re.fullmatch(_PRINTED, ",".join(map(str, sizes)))
    return bool(printed or re.fullmatch(_ISSUED, digits))
