"""The named errors that cross the borders between the layers."""

from __future__ import annotations

from dataclasses import dataclass


class PaymentsError(Exception):
    """The base of every error that this package raises on purpose."""


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong with a request: where it stands, and what to do. It never repeats the value."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None

    def as_dict(self) -> dict[str, str]:
        """Return the entry of a problem's ``errors``."""
        place = {"pointer": self.pointer} if self.parameter is None else {"parameter": self.parameter}
        return {name: text for name, text in {**place, "detail": self.detail}.items() if text is not None}


class MalformedRequestError(PaymentsError):
    """The request cannot be read at all. The message is for the client."""


class InvalidRequestError(PaymentsError):
    """The request was read, and some of its fields are wrong: all of them are listed."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__(f"{len(errors)} wrong")
        self.errors = errors


class IdempotencyMismatchError(PaymentsError):
    """The transaction_id belongs to a payment that was asked for with another body."""


class PaymentNotFoundError(PaymentsError):
    """There is no such payment."""


class UnavailableError(PaymentsError):
    """A service said to slow down, or did not answer. The call is safe to repeat."""


class CorruptDataError(PaymentsError):
    """An item, a stream record or a message does not say what it must say. The message repeats no value of it."""


class DeliveryError(PaymentsError):
    """Something was not delivered, so its source has to bring it again."""


class SettingsError(PaymentsError):
    """The environment lacks a variable, or one has a value that cannot be. The message names the variable."""
