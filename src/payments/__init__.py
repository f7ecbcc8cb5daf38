"""Payments: accept once, charge once, announce always."""

import gc
import os

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # A start makes 100 000 objects and drops next to none: looking for garbage among them takes time and finds nothing.
    # `runtime.handler.wire_once` switches it on again when the function is wired.
    gc.disable()
