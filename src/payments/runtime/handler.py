"""Wraps each handler: wires it once, adds log context, flushes metrics, keeps event data out of error messages."""

from __future__ import annotations

import gc
import os
from functools import cache, wraps
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from payments.runtime.telemetry import flush, logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext


T = TypeVar("T")

# The first call of a container is its cold start.
_calls = count()


class FunctionError(Exception):
    """A call failed. The log has the masked reason. Lambda logs this error itself, so it holds only a name."""


def function(
    handle: Callable[[dict[str, Any], LambdaContext], T],
) -> Callable[[dict[str, Any], LambdaContext], T]:
    """Make a Lambda handler: every line of its log names the call, and its errors carry no value from the event."""

    @wraps(handle)
    def handler(event: dict[str, Any], context: LambdaContext) -> T:
        match event:
            case {"requestContext": {"requestId": str(asked)}}:
                # The problem's instance, which clients quote when they ask for help.
                api_request_id: str | None = asked
            case _:
                api_request_id = None
        logger.append_keys(
            function_request_id=context.aws_request_id, api_request_id=api_request_id, cold_start=next(_calls) == 0
        )
        try:
            return handle(event, context)
        except Exception as error:  # noqa: BLE001 - it is raised again, by another name
            logger.exception("the call failed", error=type(error).__name__)
            raise FunctionError(type(error).__name__) from None
        finally:
            flush()

    return handler


def wire_once(wire: Callable[[], T]) -> Callable[[], T]:
    """Make a wiring function run once: on Lambda at the cold start, so that no request waits for it."""
    wired = cache(wire)
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        wired()
        # All objects so far stay: no later garbage collection looks through them.
        gc.freeze()
        gc.enable()
    return wired
