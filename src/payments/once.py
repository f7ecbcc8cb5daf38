"""Wire a function once: at the start of its container on Lambda, at its first call elsewhere."""

from __future__ import annotations

import gc
import os
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def once(wire: Callable[[], T]) -> Callable[[], T]:
    """Make a wiring function run once; on Lambda now, so that the time counts as start-up and not as an answer's."""
    wired = cache(wire)
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        wired()
        # What is there now stays: no later search for garbage looks through it again.
        gc.freeze()
        gc.enable()
    return wired
