"""Stopping on Ctrl-C, SIGTERM or a closed terminal, at a moment when nothing is lost track of."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class _Shields:
    """How deep the running code is shielded, and whether a signal came meanwhile."""

    depth: int = 0
    pending: bool = False
    again: list[Callable[[], None]] = field(default_factory=list)


_shields = _Shields()


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    if not _shields.depth:
        raise KeyboardInterrupt
    _shields.pending = True
    for action in _shields.again:
        action()


def install() -> None:
    """Turn each of the signals into a KeyboardInterrupt."""
    for number in SIGNALS:
        signal.signal(number, _on_signal)


@contextmanager
def shield(again: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a signal back until the block ends, so that what the block starts is known before it is stopped.

    ``again`` is called for each signal that comes meanwhile.
    """
    _shields.depth += 1
    if again:
        _shields.again.append(again)
    try:
        yield
    finally:
        _shields.depth -= 1
        if again:
            _shields.again.remove(again)
    if _shields.pending and not _shields.depth:
        _shields.pending = False
        raise KeyboardInterrupt
