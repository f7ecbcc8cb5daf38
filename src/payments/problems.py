"""Requests and answers in the form of API Gateway's proxy integration.

The API's errors are here, all in one place: problem documents (RFC 9457) with a stable ``type``.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from msgspec import Struct

from payments.contract import FieldError, NotJsonError, Problem

Response = dict[str, Any]


class Kind(Struct, frozen=True):
    """A kind of problem."""

    slug: str
    status: int
    title: str
    retry_after: int | None = None


MALFORMED = Kind("malformed-request", 400, "Malformed request")
INVALID = Kind("invalid-request", 400, "Invalid request")
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


def body_of(event: dict[str, Any]) -> bytes:
    """Return a request's body as it was sent; raises NotJsonError where API Gateway's form of it cannot be read."""
    body = event.get("body") or ""
    try:
        return base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else str(body).encode()
    except ValueError as error:
        raise NotJsonError from error


def header(event: dict[str, Any], name: str) -> str | None:
    """Return a request's header, whatever the case of its name."""
    headers: dict[str, str] = event.get("headers") or {}
    return next((value for key, value in headers.items() if key.lower() == name.lower()), None)
