"""Requests and answers in the format of API Gateway's proxy integration.

``refusal`` turns every error of a request into a problem document (RFC 9457) with a stable ``type``.
"""

from __future__ import annotations

import base64
from typing import Any, Literal

import msgspec
from msgspec import Struct

from payments.api.answers import FieldError, Problem
from payments.api.requests import MAX_BODY, BadRequestError, NotJsonError, RequestError, TooLargeError
from payments.domain.errors import (
    MismatchError,
    NoPaymentError,
    NotRefundableError,
    RequestRefusedError,
    TooMuchError,
    UnavailableError,
)

Response = dict[str, Any]

Resource = Literal["payment", "refund"]

_ID_FIELD: dict[Resource, str] = {"payment": "transaction_id", "refund": "refund_id"}


class ProblemType(Struct, frozen=True):
    """A type of problem: its stable name, its HTTP status and its title."""

    slug: str
    status: int
    title: str
    retry_after: int | None = None


MALFORMED = ProblemType("malformed-request", 400, "Malformed request")

INVALID = ProblemType("invalid-request", 400, "Invalid request")

TOO_LARGE = ProblemType("too-large", 413, "Too large")

NOT_FOUND = ProblemType("not-found", 404, "Not found")

MISMATCH = ProblemType("idempotency-mismatch", 422, "Idempotency mismatch")

NOT_REFUNDABLE = ProblemType("not-refundable", 409, "Not refundable")

TOO_MUCH = ProblemType("refund-exceeds-payment", 409, "Refund exceeds payment")

UNAVAILABLE = ProblemType("unavailable", 503, "Unavailable", retry_after=1)


def response(status: int, body: object, headers: dict[str, str] | None = None) -> Response:
    """Return an answer in the format of API Gateway's proxy integration."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})},
        "body": msgspec.json.encode(body).decode(),
    }


def problem(
    problem_type: ProblemType, detail: str, request_id: str, errors: list[FieldError] | None = None
) -> Response:
    """Return a problem document; ``instance`` is the request's id, which finds its log lines."""
    body = Problem(
        type=f"/problems/{problem_type.slug}",
        title=problem_type.title,
        status=problem_type.status,
        detail=detail,
        instance=f"urn:uuid:{request_id}",
        errors=errors or [],
    )
    headers = {"Content-Type": "application/problem+json"}
    if problem_type.retry_after is not None:
        headers["Retry-After"] = str(problem_type.retry_after)
    return response(problem_type.status, body, headers)


def accepted_response(body: object, location: str, *, replayed: bool) -> Response:
    """Return the answer to a request that was accepted, now or earlier."""
    headers = {"Location": location}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return response(202, body, headers)


def refusal(
    error: BadRequestError | RequestRefusedError | UnavailableError, resource: Resource, request_id: str
) -> Response:
    """Return the problem document for an error of a request to create a payment or a refund."""
    errors: list[FieldError] = []
    match error:
        case RequestError():
            problem_type, detail, errors = INVALID, "Some fields are invalid.", error.errors
        case TooLargeError():
            problem_type, detail = TOO_LARGE, f"The body must have at most {MAX_BODY} bytes."
        case BadRequestError():
            problem_type, detail = MALFORMED, "The body must be a JSON object in UTF-8."
        case NoPaymentError():
            problem_type, detail = NOT_FOUND, "There is no payment with this transaction_id."
        case MismatchError():
            name = _ID_FIELD[resource]
            problem_type = MISMATCH
            detail = f"A different {resource} has this {name}. Use a new {name} for a new {resource}."
        case NotRefundableError():
            problem_type, detail = NOT_REFUNDABLE, str(error)
        case TooMuchError():
            problem_type, detail = TOO_MUCH, str(error)
        case UnavailableError():
            problem_type, detail = UNAVAILABLE, f"The {resource} could not be stored. It is safe to repeat the request."
        case _:
            raise error
    return problem(problem_type, detail, request_id, errors)


def body_of(event: dict[str, Any], most: int) -> bytes:
    """Return a request's body as it was sent.

    Raises NotJsonError if API Gateway's encoding of it is invalid, TooLargeError if it has more than ``most`` bytes.
    """
    body = str(event.get("body") or "")
    encoded = event.get("isBase64Encoded")
    # A character is a byte at least, and four characters of Base64 are three bytes.
    if len(body) > (most // 3 * 4 + 4 if encoded else most):
        raise TooLargeError
    try:
        sent = base64.b64decode(body, validate=True) if encoded else body.encode()
    except ValueError as error:
        raise NotJsonError from error
    if len(sent) > most:
        raise TooLargeError
    return sent


def header(event: dict[str, Any], name: str) -> str | None:
    """Return a request's header, in any case of its name."""
    headers: dict[str, str] = event.get("headers") or {}
    return next((value for key, value in headers.items() if key.lower() == name.lower()), None)
