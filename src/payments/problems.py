"""Requests and answers in the form of API Gateway's proxy integration.

The API's errors are here, all in one place: problem documents (RFC 9457) with a stable ``type``.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from msgspec import Struct

from payments.contract import MAX_BODY, BadRequestError, FieldError, NotJsonError, Problem, RequestError, TooLargeError

Response = dict[str, Any]


class Kind(Struct, frozen=True):
    """A kind of problem."""

    slug: str
    status: int
    title: str
    retry_after: int | None = None


MALFORMED = Kind("malformed-request", 400, "Malformed request")
INVALID = Kind("invalid-request", 400, "Invalid request")
TOO_LARGE = Kind("too-large", 413, "Too large")
NOT_FOUND = Kind("not-found", 404, "Not found")
MISMATCH = Kind("idempotency-mismatch", 422, "Idempotency mismatch")
NOT_REFUNDABLE = Kind("not-refundable", 409, "Not refundable")
TOO_MUCH = Kind("refund-exceeds-payment", 409, "Refund exceeds payment")
UNAVAILABLE = Kind("unavailable", 503, "Unavailable", retry_after=1)


def response(status: int, body: object, headers: dict[str, str] | None = None) -> Response:
    """Return an answer in the form of API Gateway's proxy integration."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})},
        "body": msgspec.json.encode(body).decode(),
    }


def problem(kind: Kind, detail: str, request_id: str, errors: list[FieldError] | None = None) -> Response:
    """Return a problem document; ``instance`` is the request's id, by which support finds its log."""
    body = Problem(
        type=f"/problems/{kind.slug}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=f"urn:uuid:{request_id}",
        errors=errors or [],
    )
    headers = {"Content-Type": "application/problem+json"}
    if kind.retry_after is not None:
        headers["Retry-After"] = str(kind.retry_after)
    return response(kind.status, body, headers)


def refusal(error: BadRequestError, request_id: str) -> Response:
    """Return what a client is told of a request that was not accepted."""
    match error:
        case RequestError():
            return problem(INVALID, "Some fields are invalid.", request_id, error.errors)
        case TooLargeError():
            return problem(TOO_LARGE, f"The body must have at most {MAX_BODY} bytes.", request_id)
        case _:
            return problem(MALFORMED, "The body must be a JSON object in UTF-8.", request_id)


def body_of(event: dict[str, Any], most: int | None = None) -> bytes:
    """Return a request's body as it was sent.

    Raises NotJsonError if API Gateway's form of it cannot be read, TooLargeError if it has more than ``most`` bytes.
    """
    body = str(event.get("body") or "")
    encoded = event.get("isBase64Encoded")
    # A character is a byte at least, and four characters of Base64 are three bytes.
    if most is not None and len(body) > (most // 3 * 4 + 4 if encoded else most):
        raise TooLargeError
    try:
        sent = base64.b64decode(body, validate=True) if encoded else body.encode()
    except ValueError as error:
        raise NotJsonError from error
    if most is not None and len(sent) > most:
        raise TooLargeError
    return sent


def header(event: dict[str, Any], name: str) -> str | None:
    """Return a request's header, whatever the case of its name."""
    headers: dict[str, str] = event.get("headers") or {}
    return next((value for key, value in headers.items() if key.lower() == name.lower()), None)
