"""The bounds of a request: each is checked before the work that it limits."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from payments.api import requests
from payments.api.requests import (
    MAX_BODY,
    MAX_METADATA,
    MAX_METADATA_KEY,
    MAX_TEXT,
    MAX_TOKEN,
    PAYMENT_FIELDS,
    REFUND_FIELDS,
    RequestError,
    max_members,
    parse_payment,
    parse_refund,
)
from payments.handlers import reader, refunder, validator
from tests.support.aws import REQUEST, Context, api_event, cold

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDE = "\U0001f4b3"
# The longest accepted request: every text has its maximum length, in characters that need two escapes.
LONGEST = {
    "transaction_id": "t" * 64,
    "customer_id": "c" * 128,
    "amount": "1." + "0" * 62,
    "currency": "EUR",
    "payment_method": "p" * 128,
    "description": WIDE * MAX_TEXT,
    "metadata": {WIDE * (MAX_METADATA_KEY - 2) + f"{number:02}": WIDE * MAX_TEXT for number in range(MAX_METADATA)},
}


@pytest.fixture(autouse=True)
def fresh(dynamodb: Any) -> Iterator[None]:
    with cold(validator.wired, refunder.wired, reader.wired):
        yield


def post(event: dict[str, Any], function: Any = validator) -> tuple[int, dict[str, Any]]:
    answer = function.handler(event, Context())
    return answer["statusCode"], json.loads(answer["body"])


def escaped(value: Any, indent: int) -> str:
    """Write JSON in its longest form: every character of a string as an escape."""
    written = json.dumps(value, indent=indent)
    inside, out, at = False, [], 0
    while at < len(written):
        char = written[at]
        if char == '"':
            inside = not inside
            out.append(char)
        elif inside and char == "\\":
            out.append(written[at : at + 6])
            at += 5
        else:
            out.append(f"\\u{ord(char):04x}" if inside else char)
        at += 1
    return "".join(out)


def test_the_longest_request_fits_however_it_is_written() -> None:
    body = escaped(LONGEST, indent=8)
    assert json.loads(body) == LONGEST
    assert len(body) < MAX_BODY
    assert post(api_event(body))[0] == 202


@pytest.mark.parametrize("encoded", [False, True])
def test_a_body_is_refused_by_its_size_before_it_is_read(monkeypatch: pytest.MonkeyPatch, encoded: bool) -> None:
    body = json.dumps(REQUEST).encode()
    for padding, status in ((MAX_BODY - len(body), 202), (MAX_BODY - len(body) + 1, 413), (4_000_000, 413)):
        sent = body + b" " * padding
        event = api_event("") | {
            "body": base64.b64encode(sent).decode() if encoded else sent.decode(),
            "isBase64Encoded": encoded,
        }
        if status == 413:
            monkeypatch.setattr(requests, "json", None)
        answered, problem = post(event)
        assert answered == status
        if status == 413:
            assert problem["type"] == "/problems/too-large"
            assert str(MAX_BODY) in problem["detail"]
            assert post(event | {"pathParameters": {"transaction_id": "order-1"}}, refunder)[0] == 413


def test_bytes_count_and_not_characters() -> None:
    wide = json.dumps(REQUEST | {"note": WIDE * (MAX_BODY // 4)}, ensure_ascii=False)
    assert len(wide) < MAX_BODY
    assert post(api_event(wide))[0] == 413


@pytest.mark.parametrize("name", ["n{}", "n"])
def test_a_flood_of_members_is_one_error(name: str) -> None:
    for fields, function in ((PAYMENT_FIELDS, validator), (REFUND_FIELDS, refunder)):
        for members in (max_members(fields), max_members(fields) + 1):
            body = "{" + ",".join(f'"{name.format(number)}": 1' for number in range(members)) + "}"
            event = api_event(body, path={"transaction_id": "order-1"})
            status, problem = post(event, function)
            assert status == 400
            assert (problem["errors"][0]["detail"] == f"must have at most {max_members(fields)} members") == (
                members > max_members(fields)
            )


def test_repeated_names_count_in_metadata() -> None:
    metadata = "{" + ", ".join(['"a": "1"'] * (MAX_METADATA + 1)) + "}"
    body = json.dumps(REQUEST)[:-1] + f', "metadata": {metadata}}}'
    _, problem = post(api_event(body))
    assert problem["errors"] == [{"pointer": "/metadata", "detail": f"must have at most {MAX_METADATA} members"}]


@pytest.mark.parametrize(
    "changes",
    [
        {"transaction_id": "1" * 65},
        {"customer_id": "1" * 129},
        {"amount": "1" * 65},
        {"payment_method": "1" * 129},
        {"currency": "1" * 4},
        {"description": "1" * (MAX_TEXT + 1)},
        {"metadata": {"note": "1" * (MAX_TEXT + 1)}},
        {"metadata": {"1" * (MAX_METADATA_KEY + 1): "x"}},
        {"1" * (MAX_METADATA_KEY + 1): "x"},
    ],
)
def test_a_text_that_is_too_long_is_never_searched(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    searched: list[str] = []
    monkeypatch.setattr(requests, "has_card", searched.append)
    with pytest.raises(RequestError) as refused:
        parse_payment(json.dumps(REQUEST | changes).encode(), None, "USD")
    assert len(refused.value.errors) == 1
    assert max(map(len, searched)) <= MAX_TEXT
    assert not [text for text in searched if "1111" in text]


def test_a_reason_that_is_too_long_is_never_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "has_card", lambda text: len(text) > 64 and pytest.fail("it was searched"))
    with pytest.raises(RequestError):
        parse_refund(json.dumps({"refund_id": "r", "reason": "1" * (MAX_TEXT + 1)}).encode(), None)


def test_a_refund_of_a_long_name_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    table, _ = reader.wired()
    monkeypatch.setattr(type(table), "get", lambda *_: pytest.fail("it was looked for"))
    resource = "/payments/{transaction_id}/refunds/{refund_id}"
    for path in ({"transaction_id": "t" * 65, "refund_id": "r"}, {"transaction_id": "t", "refund_id": "r" * 65}):
        assert post(api_event(resource=resource, path=path), reader)[0] == 404


def test_a_long_token_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.table.indexes.base64.b64decode", lambda *_, **__: pytest.fail("it was decoded"))
    event = api_event(
        resource="/customers/{customer_id}/payments",
        path={"customer_id": "ada"},
        query={"next_token": "A" * (MAX_TOKEN + 1)},
    )
    status, problem = post(event, reader)
    assert (status, [error["pointer"] for error in problem["errors"]]) == (400, ["/next_token"])


SECRET = "FakeFakeFakeFakeFakeFake"


@pytest.mark.parametrize(
    "prefix",
    [
        "sk_live_",
        "sk_test_",
        "rk_live_",
        "rk_test_",
        "whsec_",
        "SK_LIVE_",
        "cus_1-sk_live_",
        "pm_sk_live_",
        "_rk_test_",
    ],
)
def test_a_secret_key_is_refused_and_never_repeated(dynamodb: Any, log: io.StringIO, prefix: str) -> None:
    for change in ({"payment_method": prefix + SECRET}, {prefix + SECRET: 1}, {"metadata": {prefix + SECRET: 1}}):
        status, problem = post(api_event(REQUEST | change))
        assert status == 400
        assert len(problem["errors"]) == 1
        assert SECRET not in json.dumps(problem) + log.getvalue()
    assert "refused" in log.getvalue()
    _, problem = post(api_event(REQUEST | {"payment_method": prefix + SECRET}))
    (error,) = problem["errors"]
    assert error["pointer"] == "/payment_method"
    assert "secret key" in error["detail"]


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_secret_token", "tok_sk_1", "pk_live_1", "risk_1", "cus_1-pm_1"])
def test_a_token_is_no_secret_key(method: str) -> None:
    assert (
        parse_payment(json.dumps(REQUEST | {"payment_method": method}).encode(), None, "USD").payment_method == method
    )


@pytest.mark.parametrize("separator", ["\u30fc", "\uff0d", "\u2212", " "])
def test_no_card_comes_back_as_the_name_of_a_field(log: io.StringIO, separator: str) -> None:
    number = separator.join(["\uff14\uff12\uff14\uff12"] * 4)
    for change in ({number: "x"}, {"metadata": {number: "x"}}):
        answer = validator.handler(api_event(REQUEST | change), Context())  # type: ignore[arg-type]
        assert answer["statusCode"] == 400
        assert number not in answer["body"] + log.getvalue()
