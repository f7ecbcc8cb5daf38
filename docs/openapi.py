"""Write the OpenAPI document, docs/openapi.json, from the contract in src/payments; with --check, only compare it.

routes.tf builds the routes of API Gateway from the document, and the tests check the running API against it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "openapi.json"
sys.path.insert(0, str(ROOT / "src"))
for _name in ("POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"):
    os.environ.setdefault(_name, "openapi")

import msgspec  # noqa: E402 - after the path

from payments.api import problems  # noqa: E402
from payments.api.answers import Problem  # noqa: E402
from payments.api.operations import OPERATIONS, Body, Operation  # noqa: E402
from payments.api.requests import MAX_BODY, max_members  # noqa: E402

_SCHEMA = "#/components/schemas/{name}"
# The answers that API Gateway may give to any operation before our code runs.
_BY_THE_GATEWAY = {
    403: "Unsigned, or not allowed.",
    413: "The body is too large.",
    415: "The body is not declared as application/json.",
    429: "Too many requests. Wait as Retry-After says, then repeat the request.",
    500: "The API failed. It is safe to repeat the request.",
    503: "The request could not be served now. It is safe to repeat it.",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def _request(body: Body) -> dict[str, Any]:
    return {
        "title": body.name,
        "type": "object",
        "properties": {name: field.schema for name, field in body.fields.items()},
        "required": [name for name, field in body.fields.items() if field.required],
        "additionalProperties": False,
        # A few wrong names are all named, a flood is not. API Gateway refuses it before any code runs.
        "maxProperties": max_members(body.fields),
        "examples": [body.example],
    }


def _problem(description: str, status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": _SCHEMA.format(name="Problem")}}},
    }
    return answer | ({"headers": _RETRY_AFTER} if status in (429, 503) else {})


def _answers(operation: Operation) -> dict[str, Any]:
    accepted: dict[str, Any] = {
        "description": (operation.answer.__doc__ or "").strip().split("\n")[0],
        "content": {"application/json": {"schema": {"$ref": _SCHEMA.format(name=operation.answer.__name__)}}},
    }
    if operation.status == 202:  # noqa: PLR2004 - an accepted payment or refund has an address
        accepted["headers"] = {
            "Location": {"description": "The address of the payment or refund.", "schema": {"type": "string"}},
            "Idempotent-Replayed": {
                "description": "true if the request was accepted before; nothing was done now.",
                "schema": {"type": "string", "enum": ["true"]},
            },
        }
    kinds: dict[int, list[str]] = {}
    for kind in (*operation.problems, problems.MALFORMED, problems.UNAVAILABLE):
        line = f"{kind.title} (`/problems/{kind.slug}`)."
        if line not in kinds.setdefault(kind.status, []):
            kinds[kind.status].append(line)
    answers = {operation.status: accepted}
    for status, text in _BY_THE_GATEWAY.items():
        answers[status] = _problem(text, status)
    for status, lines in kinds.items():
        answers[status] = _problem(" ".join(lines), status)
    return {str(status): answers[status] for status in sorted(answers)}


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "x-function": operation.function,
        "parameters": [
            {
                "in": parameter.place,
                "name": parameter.name,
                "required": parameter.place == "path",
                "description": parameter.description,
                "schema": parameter.schema,
            }
            for parameter in operation.parameters
        ],
        "responses": _answers(operation),
    }
    if operation.body is not None:
        schema = {"$ref": _SCHEMA.format(name=operation.body.name)}
        described["requestBody"] = {
            "required": True,
            "description": f"A JSON object of at most {MAX_BODY} bytes.",
            "content": {"application/json": {"schema": schema}},
        }
    return described


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    answers = [operation.answer for operation in OPERATIONS]
    _, schemas = msgspec.json.schema_components([*answers, Problem], ref_template=_SCHEMA)
    requests = {operation.body.name: _request(operation.body) for operation in OPERATIONS if operation.body}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Payments",
            "version": "1",
            "summary": "Post a payment, refund it, read it, list a customer's payments.",
            "description": "Every error is a problem document (RFC 9457). Its type is stable; let programs use it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {
                "url": "{api_gateway_url}",
                "description": "The output api_gateway_url of the deployment.",
                "variables": {"api_gateway_url": {"default": "/"}},
            }
        ],
        "security": [{"sigv4": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted((schemas | requests).items())),
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "AWS Signature Version 4 for the service execute-api, by default.",
                }
            },
        },
    }


def main() -> int:
    """Write or check the document; return the process's exit status."""
    # The descriptions come from Python docstrings, which put code between double backquotes.
    fresh = json.dumps(document(), indent=2, ensure_ascii=False).replace("``", "`") + "\n"
    if "--check" in sys.argv:
        if not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != fresh:
            sys.stderr.write("stale: docs/openapi.json. Run: make openapi\n")
            return 1
        return 0
    DOCUMENT.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
