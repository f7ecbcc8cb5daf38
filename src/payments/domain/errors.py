"""Errors that more than one room raises or handles."""

from __future__ import annotations


class PoisonError(Exception):
    """A message or record that no retry can fix."""


class UnavailableError(Exception):
    """AWS did not serve a call, which is safe to repeat."""


class RetryError(Exception):
    """The payment is not final: the message must be retried, or go to the dead-letter queue."""


class NotStoredError(PoisonError):
    """A message names a payment or a refund that the table does not have, so it was never accepted."""


class RequestRefusedError(Exception):
    """A request that the system understands but refuses."""


class InvalidFieldError(RequestRefusedError):
    """A field does not fit the request's payment; ``detail`` says what would fit, and repeats no value."""

    def __init__(self, field: str, detail: str) -> None:
        self.field = field
        self.detail = detail
        super().__init__(f"{field} {detail}")


class NoPaymentError(RequestRefusedError):
    """There is no payment with the id."""


class MismatchError(RequestRefusedError):
    """The id belongs to a different payment or refund."""


class NotRefundableError(RequestRefusedError):
    """The payment cannot be refunded in its present state. The message says why, and clients see it."""


class TooMuchError(RequestRefusedError):
    """The refund is larger than the remainder. The message names the remainder, and clients see it."""
