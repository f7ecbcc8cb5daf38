"""The API's errors, all in one place: problem documents (RFC 9457) with a stable ``type``."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from payments.cards import redact

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
UNAVAILABLE = Kind("unavailable", 503, "Unavailable", retry_after=1)


def response(status: int, body: object, headers: dict[str, str] | None = None) -> Response:
    """Return an answer in the form of API Gateway's proxy integration."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})},
        "body": msgspec.json.encode(body).decode(),
    }


def problem(kind: Kind, detail: str, request_id: str, errors: list[Any] | None = None) -> Response:
    """Return a problem document; ``instance`` is the request's id, by which support finds its log."""
    body = {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": f"urn:uuid:{request_id}",
    }
    if errors:
        body["errors"] = msgspec.to_builtins(errors)
    headers = {"Content-Type": "application/problem+json"}
    if kind.retry_after is not None:
        headers["Retry-After"] = str(kind.retry_after)
    answer = response(kind.status, body, headers)
    return answer | {"body": redact(answer["body"])}
