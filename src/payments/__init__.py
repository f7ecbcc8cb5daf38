"""Payments: accept once, charge once, announce always."""

import gc
import os

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # A start creates 100 000 objects and drops almost none, so garbage collection would take time and find nothing.
    # `runtime.handler.wire_once` switches it on again when the function is wired.
    gc.disable()
