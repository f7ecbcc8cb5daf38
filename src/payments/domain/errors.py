"""Errors that more than one room raises or handles."""

from __future__ import annotations


class PoisonError(Exception):
    """A message or record that no retry can mend."""


class UnavailableError(Exception):
    """AWS did not serve a call; it is safe to repeat it."""


class RetryError(Exception):
    """The payment is not final: the message must come again, or go to the dead-letter queue."""


class NotStoredError(PoisonError):
    """A message names a payment or a refund that the table does not have: nobody has accepted it."""
