"""I6: send card numbers and tokens down every path, including failing ones, then search for them everywhere."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from ops.payment import until_final
from tests.support.deployed import SOON, a_payment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.client import Api
    from ops.inbox import Inbox
    from ops.stack import Stack

pytestmark = pytest.mark.e2e

# Test numbers of five schemes, each for one place, so that a find shows where it came from.
CARDS = {
    "field": "4242424242424242",
    "grouped": "5555 5555 5555 4444",
    "number": "378282246310005",
    "unknown": "6011111111111117",
    "metadata": "3530111333300000",
    "refund": "4000056655665556",
    "malformed": "5200828282828210",
    "path": "4000000000000077",
    "query": "5105105105105100",
    "header": "4012888888881881",
}
TOKEN = "pm_sim_declined_CANARYTOKEN"


def digits(text: str) -> str:
    return re.sub(r"[\s.-]", "", text)


def push(api: Api) -> list[str]:
    """Send each number where a client could put it, and return the API's answers."""
    charged = a_payment()
    assert api.post(charged).status_code == 202
    until_final(api, charged["transaction_id"], SOON)
    declined = a_payment(payment_method=TOKEN)
    assert api.post(declined).status_code == 202
    until_final(api, declined["transaction_id"], SOON)
    answers = [
        api.post(a_payment() | {"transaction_id": CARDS["field"]}),
        api.post(a_payment() | {"customer_id": CARDS["field"]}),
        api.post(a_payment() | {"payment_method": CARDS["field"]}),
        api.post(a_payment() | {"description": f"card {CARDS['grouped']}, please"}),
        api.post(a_payment() | {"amount": int(CARDS["number"])}),
        api.post(a_payment() | {"currency": CARDS["number"]}),
        api.post(a_payment() | {CARDS["unknown"]: "x", "card": CARDS["unknown"]}),
        api.post(a_payment() | {"metadata": {"card": CARDS["metadata"]}}),
        api.post(a_payment() | {"metadata": {CARDS["metadata"]: "x"}}),
        api.post(a_payment(), {"Idempotency-Key": CARDS["header"]}),
        api.refund(charged["transaction_id"], {"refund_id": CARDS["refund"]}),
        api.refund(charged["transaction_id"], {"refund_id": "r", "reason": CARDS["refund"]}),
        api.refund(CARDS["path"], {"refund_id": "r"}),
        api.request("POST", "/payments", '{"card": ' + CARDS["malformed"]),
        api.request("POST", "/payments", "{" + f'"a": {CARDS["malformed"]}, "b": "\\ud800"' + "}"),
        api.get(CARDS["path"]),
        api.customers_payments(CARDS["path"]),
        api.customers_payments("ada", f"?next_token={CARDS['query']}&limit={CARDS['query']}"),
    ]
    refused = [answer for answer in answers if answer.status_code >= 400]
    # The list of a customer whose id is a card number is empty: nothing is stored under such an id.
    assert len(refused) == len(answers) - 1
    return [answer.text + str(answer.headers) for answer in answers]


def everything(stack: Stack, inbox: Inbox) -> Iterator[tuple[str, str]]:
    """Yield everything that the stack stores and emits: tables, queues, dead letters, logs, metrics, announcements."""
    for table in ("dynamodb_table_name", "simulator_ledger_table_name"):
        for page in stack.dynamodb.get_paginator("scan").paginate(TableName=stack.outputs[table]):
            yield from ((table, json.dumps(item)) for item in page["Items"])
    for queue in stack.sqs.list_queues()["QueueUrls"]:
        answer = stack.sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=0
        )
        yield from ((queue, message["Body"]) for message in answer.get("Messages", []))
    for group in stack.logs.describe_log_groups()["logGroups"]:
        name = group["logGroupName"]
        for lines in stack.logs.get_paginator("filter_log_events").paginate(logGroupName=name):
            yield from ((name, event["message"]) for event in lines["events"])
    inbox.wait(lambda _: False, 2)
    yield from (("announcement", json.dumps(event)) for event in inbox.received)
    metrics = stack.session().client("cloudwatch", endpoint_url=stack.endpoint, verify=stack.trusted)
    yield "metrics", json.dumps(metrics.list_metrics()["Metrics"])


def test_no_card_number_is_kept_or_said_anywhere(api: Api, stack: Stack, inbox: Inbox) -> None:
    answers = push(api)
    time.sleep(2)
    kept = list(everything(stack, inbox))
    places = {place for place, _ in kept}
    # The search has read every kind of place; otherwise it could not find anything.
    assert {"dynamodb_table_name", "simulator_ledger_table_name", "announcement", "metrics"} <= places
    assert len([place for place in places if place.startswith("/aws/lambda/")]) >= 5

    def holding(canary: str, texts: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(place, text[:300]) for place, text in texts if digits(canary) in digits(text)]

    for name, card in CARDS.items():
        assert holding(card, kept) == [], name
        assert holding(card, [("answer", text) for text in answers]) == [], name

    # Only the gateway and the table may hold the payment method's token; its code may be in the announcement.
    allowed = {"dynamodb_table_name", "simulator_ledger_table_name"}
    assert [(place, text[:300]) for place, text in kept if TOKEN in text and place not in allowed] == []


def test_the_search_finds_what_is_there(stack: Stack, inbox: Inbox) -> None:
    """A card number in a forbidden place is found: the search can fail."""
    # Not in the payments' table, whose stream would turn it into a dead letter.
    name = stack.outputs["simulator_ledger_table_name"]
    key: Any = {"idempotency_key": {"S": f"planted-{CARDS['field']}"}}
    stack.dynamodb.put_item(TableName=name, Item=key | {"transaction_id": {"S": "planted"}})
    try:
        assert [place for place, text in everything(stack, inbox) if CARDS["field"] in digits(text)]
    finally:
        stack.dynamodb.delete_item(TableName=name, Key=key)
