"""Every row of the design's table of answers, at the validator."""

from __future__ import annotations

import base64
import io
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from payments.api.requests import NotJsonError, RequestError, parse_payment
from payments.handlers import validator
from payments.runtime.handler import FunctionError
from payments.runtime.settings import SettingsError
from tests.support.aws import REQUEST, TABLE, Context, api_event, cold

if TYPE_CHECKING:
    from collections.abc import Iterator

CARD = "4242 4242 4242 4242"


@pytest.fixture(autouse=True)
def fresh(dynamodb: Any) -> Iterator[None]:
    with cold(validator.wired):
        yield


def post(body: Any, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], dict[str, Any]]:
    answer = validator.handler(api_event(body, headers=headers), Context())  # type: ignore[arg-type]
    return answer["statusCode"], answer["headers"], json.loads(answer["body"])


def stored(dynamodb: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = dynamodb.scan(TableName=TABLE)["Items"]
    return items


def test_accepted(dynamodb: Any) -> None:
    status, headers, body = post(REQUEST | {"description": "Two books", "metadata": {"cart": "7"}})
    assert status == 202
    assert headers["Location"] == "/payments/order-1"
    assert "Idempotent-Replayed" not in headers
    assert body.pop("created_at").endswith("Z")
    assert body == {
        "message": "Payment validated",
        "transaction_id": "order-1",
        "status": "validated",
        "customer_id": "ada",
        "amount": "12.50",
        "currency": "EUR",
    }
    (item,) = stored(dynamodb)
    assert item["amount_minor"] == {"N": "1250"}
    assert item["status"] == {"S": "validated"}
    assert item["version"] == {"N": "1"}
    assert item["metadata"] == {"M": {"cart": {"S": "7"}}}


def test_the_same_again_gets_the_same_answer_and_writes_nothing(dynamodb: Any) -> None:
    first = post(REQUEST)
    before = stored(dynamodb)
    again = post(REQUEST | {"amount": 12.5})
    assert again[0] == 202
    assert again[2] == first[2]
    assert again[1]["Idempotent-Replayed"] == "true"
    assert stored(dynamodb) == before


def test_the_answer_does_not_change_when_the_payment_does(dynamodb: Any) -> None:
    first = post(REQUEST)
    dynamodb.update_item(
        TableName=TABLE,
        Key={"transaction_id": {"S": "order-1"}},
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "failed"}},
    )
    assert post(REQUEST)[2] == first[2]


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "12.51"},
        {"currency": "USD"},
        {"customer_id": "bob"},
        {"payment_method": "pm_2"},
        {"metadata": {"a": "b"}},
        {"description": "x"},
    ],
)
def test_another_body_under_the_same_id(dynamodb: Any, change: dict[str, Any]) -> None:
    post(REQUEST)
    before = stored(dynamodb)
    status, headers, body = post(REQUEST | change)
    assert status == 422
    assert headers["Content-Type"] == "application/problem+json"
    assert body["type"].endswith("idempotency-mismatch")
    assert stored(dynamodb) == before


def test_every_wrong_field_is_named(dynamodb: Any) -> None:
    status, headers, body = post(
        {
            "customer_id": "a/b",
            "amount": "1.234",
            "currency": "EUR",
            "payment_method": 7,
            "description": "",
            "metadata": {"a/b": 1, "": "x"},
            "colour": "red",
        }
    )
    assert status == 400
    assert headers["Content-Type"] == "application/problem+json"
    assert [error["pointer"] for error in body["errors"]] == [
        "/amount",
        "/colour",
        "/customer_id",
        "/description",
        "/metadata",
        "/metadata/a~1b",
        "/payment_method",
        "/transaction_id",
    ]
    assert body["status"] == 400
    assert body["instance"].startswith("urn:uuid:")
    assert stored(dynamodb) == []


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', "\udcff", '{"a": NaN}', "{} {}"])
def test_malformed(dynamodb: Any, body: str) -> None:
    event = api_event("x") | {
        "body": base64.b64encode(body.encode("utf-8", "surrogateescape")).decode(),
        "isBase64Encoded": True,
    }
    answer = validator.handler(event, Context())  # type: ignore[arg-type]
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["type"] == "/problems/malformed-request"
    assert stored(dynamodb) == []


@pytest.mark.parametrize(
    "field", ["transaction_id", "customer_id", "amount", "payment_method", "description", "metadata", "name", "unknown"]
)
def test_a_card_number_in_any_field(dynamodb: Any, log: io.StringIO, field: str) -> None:
    digits = CARD.replace(" ", "")
    changes: dict[str, dict[str, Any]] = {
        "metadata": {"metadata": {"note": CARD}},
        "name": {"metadata": {CARD: "x"}},
        "unknown": {digits: "x"},
    }
    change = changes.get(field, {field: digits})
    status, _, body = post(REQUEST | change)
    assert status == 400
    assert stored(dynamodb) == []
    output = json.dumps(body) + log.getvalue()
    assert "refused" in output
    assert digits not in output
    assert CARD not in output


def test_the_idempotency_key_header_must_be_the_id(dynamodb: Any) -> None:
    assert post(REQUEST, {"idempotency-key": "other"})[0] == 400
    assert stored(dynamodb) == []
    assert post(REQUEST, {"Idempotency-Key": "order-1"})[0] == 202


def test_the_key_is_checked_together_with_the_fields(dynamodb: Any) -> None:
    _, _, body = post(REQUEST | {"amount": "0"}, {"Idempotency-Key": "other"})
    assert [error["pointer"] for error in body["errors"]] == ["/amount", "/transaction_id"]


@pytest.mark.parametrize(
    ("text", "pointers"),
    [
        ('"amount": 1, "amount": 2', ["/amount"]),
        ('"amount": 1, "metadata": {"a": "1", "a": "2"}', ["/metadata/a"]),
        ('"amount": 1e400', ["/amount"]),
        ('"amount": 1, "description": "\\ud800"', ["/description"]),
        ('"amount": 1, "metadata": {"\\ud800": "x"}', ["/metadata"]),
        ('"amount": 1, "\\ud800": "x"', [""]),
        ('"amount": 1, "description": "a\\u0085b"', ["/description"]),
        ('"amount": 1, "description": "a\\uffffb"', ["/description"]),
        ('"amount": [1]', ["/amount"]),
        ('"amount": 1, "currency": "BGN"', ["/currency"]),
        ('"amount": 1, "metadata": ["x"]', ["/metadata"]),
    ],
)
def test_what_json_allows_and_a_payment_does_not(dynamodb: Any, text: str, pointers: list[str]) -> None:
    body = '{"transaction_id": "t", "customer_id": "c", "payment_method": "pm", %s}' % text  # noqa: UP031 - braces
    status, _, problem = post(body)
    assert (status, [error["pointer"] for error in problem["errors"]]) == (400, pointers)
    assert stored(dynamodb) == []


@pytest.mark.parametrize(
    ("flood", "status"),
    [
        ({"metadata": {f"k{number}": number for number in range(50_000)}, "x" * 100_000: 1}, 413),
        ({"metadata": {f"k{number}": number for number in range(5_000)}, "x" * 10_000: 1}, 400),
        ({f"unknown-{number}": 1 for number in range(5_000)}, 400),
        ({f"{number:~>40}": 1 for number in range(9)} | {"metadata": {f"{n:~>40}": n for n in range(20)}}, 400),
    ],
)
def test_an_answer_stays_small_however_wrong_the_request(dynamodb: Any, flood: dict[str, Any], status: int) -> None:
    answer = validator.handler(api_event({"amount": "x"} | flood), Context())  # type: ignore[arg-type]
    assert answer["statusCode"] == status
    assert len(answer["body"]) < 10_000


def test_an_amount_above_the_limit(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMOUNT_LIMITS", '{"EUR": "100.00"}')
    assert post(REQUEST | {"amount": "100.00"})[0] == 202
    status, _, body = post(REQUEST | {"transaction_id": "order-2", "amount": "100.01"})
    assert (status, body["errors"]) == (400, [{"pointer": "/amount", "detail": "must not be above 100.00 EUR"}])
    assert post(REQUEST | {"transaction_id": "order-3", "amount": "100.01", "currency": "USD"})[0] == 202
    assert len(stored(dynamodb)) == 2


def test_the_default_currency(dynamodb: Any) -> None:
    post({name: value for name, value in REQUEST.items() if name != "currency"})
    assert stored(dynamodb)[0]["currency"] == {"S": "USD"}


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "PutItem"),
        ClientError({"Error": {"Code": "ThrottlingException"}}, "PutItem"),
        ClientError({"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": 500}}, "PutItem"),  # type: ignore[typeddict-item]
        ReadTimeoutError(endpoint_url="x"),
    ],
)
def test_aws_says_slow_down(dynamodb: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, log: io.StringIO) -> None:
    def fail(**_: Any) -> None:
        raise error

    table, *_ = validator.wired()
    monkeypatch.setattr(table._client, "put_item", fail)  # noqa: SLF001
    status, headers, body = post(REQUEST)
    assert (status, body["type"]) == (503, "/problems/unavailable")
    assert int(headers["Retry-After"]) >= 1
    assert json.loads(log.getvalue())["transaction_id"] == REQUEST["transaction_id"]


def test_a_refusal_does_not_count_as_a_busy_table(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "PutItem")

    table, *_ = validator.wired()
    monkeypatch.setattr(table._client, "put_item", fail)  # noqa: SLF001
    with pytest.raises(FunctionError, match="ClientError"):
        post(REQUEST)


def test_a_put_whose_answer_was_lost_meets_its_own_item(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK repeats the same item: the client gets the first answer, not a replay."""
    table, *_ = validator.wired()
    put = table._client.put_item  # noqa: SLF001

    def twice(**request: Any) -> Any:
        put(**request)
        return put(**request)

    monkeypatch.setattr(table._client, "put_item", twice)  # noqa: SLF001
    status, headers, _ = post(REQUEST)
    assert status == 202
    assert "Idempotent-Replayed" not in headers
    assert len(stored(dynamodb)) == 1


def test_of_many_at_once_one_is_first(dynamodb: Any) -> None:
    answers: list[tuple[int, dict[str, str], dict[str, Any]]] = []
    threads = [threading.Thread(target=lambda: answers.append(post(REQUEST))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer[0] for answer in answers] == [202] * 8
    assert len({answer[2]["created_at"] for answer in answers}) == 1
    assert len([answer for answer in answers if "Idempotent-Replayed" not in answer[1]]) == 1


def test_the_log_tells_neither_the_method_nor_the_customers_words(dynamodb: Any, log: io.StringIO) -> None:
    post(REQUEST | {"payment_method": "pm_secret_token", "description": "a gift for Bob"})
    out = log.getvalue()
    assert "order-1" in out
    assert "pm_secret_token" not in out
    assert "Bob" not in out


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TABLE_NAME")
    with pytest.raises(SettingsError, match="TABLE_NAME"):
        validator.wired()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    try:
        parse_payment(body, None, "USD")
    except (NotJsonError, RequestError) as error:
        assert not isinstance(error, RequestError) or error.errors


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*REQUEST, "description", "metadata", "extra"]), json_values))
def test_any_object_is_a_request_or_refused_by_field(changes: dict[str, Any]) -> None:
    try:
        request = parse_payment(json.dumps(REQUEST | changes).encode(), None, "USD")
    except RequestError as error:
        assert error.errors
        assert all(
            wrong.pointer == "" or wrong.pointer[1:].split("/")[0] in {*REQUEST, *changes} for wrong in error.errors
        )
    else:
        assert request.money.minor > 0


@given(st.permutations(list(REQUEST)))
def test_the_fingerprint_does_not_depend_on_how_it_is_written(order: list[str]) -> None:
    written = json.dumps({name: REQUEST[name] for name in order}, indent=1).encode()
    plainly = json.dumps(REQUEST).encode()
    assert parse_payment(written, None, "USD").fingerprint() == parse_payment(plainly, "order-1", "JPY").fingerprint()
