"""The operator's command on the running stack."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from local import ROOT
from ops.dead_letters import QueueClient, dead_letter_queues, work_queues
from ops.payment import until_final
from ops.stream import Feed, stream_arn
from payments.domain.message import Message
from payments.runtime.messages import encode
from payments.table.items import from_item
from tests.support.aws import payment as payment_of
from tests.support.commands import Run
from tests.support.deployed import AFTER_THE_RETRIES, SOON, a_payment, ledger, stored, stranded, unique

if TYPE_CHECKING:
    from pathlib import Path

    from ops.client import Api
    from ops.inbox import Inbox
    from ops.stack import Stack
    from tests.support.deployed import Deployed


pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def _quiet(stack: Stack) -> None:
    """Wait until no message is in flight: one that fails for the last time now would add a dead letter."""
    post = QueueClient(stack)
    deadline = time.monotonic() + AFTER_THE_RETRIES
    while left := [queue.name for queue in work_queues(stack).values() if post.counts(queue).total]:
        assert time.monotonic() < deadline, left
        time.sleep(1)


@pytest.fixture(autouse=True)
def _no_dead_letters(stack: Stack, _quiet: None) -> None:
    """Delete the dead letters that other tests have left."""
    post = QueueClient(stack)
    for queue in dead_letter_queues(stack).values():
        while post.counts(queue).waiting:
            for letters in post.receive(queue, 100):
                post.delete(queue, letters)


def waiting(stack: Stack, name: str) -> int:
    post = QueueClient(stack)
    return post.counts(post.queue(name)).waiting


def until_waiting(stack: Stack, name: str, count: int) -> None:
    deadline = time.monotonic() + SOON
    while waiting(stack, name) < count and time.monotonic() < deadline:
        time.sleep(0.3)


def send(stack: Stack, name: str, body: str) -> None:
    stack.sqs.send_message(QueueUrl=QueueClient(stack).queue(name).url, MessageBody=body)


# Payments


def test_a_payment_is_made_shown_listed_and_refunded(payments: Run) -> None:
    name, customer = unique("op"), unique("customer")
    made = payments("pay", "12.50", "EUR", "--id", name, "--customer", customer, "-m", "order=7", "--json")
    assert (made.status, made.json["status"]) == (0, "processed")
    given = payments("refund", name, "--amount", "5", "--id", "r1", "--reason", "One came back", "--json")
    assert (given.status, given.json["status"], given.json["amount"]) == (0, "processed", "5.00")
    shown = payments("show", name, "--json")
    assert shown.json["payment"]["status"] == "partially_refunded"
    assert shown.json["payment"]["metadata"] == {"order": "7"}
    told = [(step["where"], step["what"]) for step in shown.json["timeline"]]
    for step in [
        ("payment", "validated"),
        ("processor", "recorded"),
        ("notifier", "announced"),
        ("refund r1", "validated"),
        ("refund r1", "processed"),
    ]:
        assert step in told
    # On a cold stack the first answer may have been late, so the command may have repeated its call.
    assert {("validator", "accepted"), ("validator", "replayed")} & set(told)
    assert told.index(("payment", "validated")) < told.index(("refund r1", "validated"))
    assert shown.json["unread"] == []
    listed = payments("list", customer, "--json").json
    assert [payment["transaction_id"] for payment in listed["payments"]] == [name]
    plain = payments("list", customer)
    assert plain.status == 0
    assert name in plain.out
    assert "partially_refunded" in plain.out


def test_a_repeat_charges_nothing_again(payments: Run, stack: Stack) -> None:
    name = unique("op")
    payments("pay", "3", "EUR", "--id", name)
    again = payments("pay", "3", "EUR", "--id", name)
    assert again.status == 0
    assert "nothing was charged again" in again.out
    entry = ledger(stack, name)
    assert entry is not None
    assert entry["attempts"] == {"N": "1"}


def test_a_decline_has_a_status_of_its_own(payments: Run) -> None:
    declined = payments("pay", "3", "EUR", "--method", "pm_sim_declined_expired_card")
    assert declined.status == 3
    assert "expired_card" in declined.out


def test_a_refusal_is_in_the_apis_own_words(payments: Run) -> None:
    refused = payments("pay", "3.001", "EUR")
    assert refused.status == 1
    assert "/amount" in refused.err
    assert refused.out == ""
    missing = payments("show", "no-such-payment")
    assert missing.status == 1
    assert "404 Not found" in missing.err


def test_many_are_listed_over_pages(payments: Run, api: Api) -> None:
    customer = unique("customer")
    for _ in range(3):
        api.post(a_payment() | {"customer_id": customer})
    assert len(payments("list", customer, "--limit", "2", "--json").json["payments"]) == 2
    assert payments("list", customer, "--limit", "2", "--json").json["more"]
    everything = payments("list", customer, "--limit", "200", "--json").json
    assert (len(everything["payments"]), everything["more"]) == (3, False)


def test_payments_are_watched_as_they_move(payments: Run, api: Api) -> None:
    customer = unique("customer")
    payment = a_payment() | {"customer_id": customer}
    threading.Timer(1.5, lambda: api.post(payment)).start()
    seen = payments("watch", "--customer", customer, "--for", "8", "--json")
    changes = [json.loads(line) for line in seen.out.splitlines()]
    assert [change["status"] for change in changes] == ["validated", "processed"]
    assert {change["transaction_id"] for change in changes} == {payment["transaction_id"]}
    assert "payment_method" not in changes[0]


# Dead letters


def announcement(name: str) -> str:
    return encode(Message("payment.processed", payment_of(transaction_id=name, status="processed", version=2)))


def test_dead_letters_are_counted_peeked_at_and_left(payments: Run, stack: Stack) -> None:
    name = unique("dead")
    send(stack, "processor", announcement(name))
    listed = payments("dlq", "list", "--json")
    assert (listed.status, listed.json["processor"]["waiting"]) == (3, 1)
    (letter,) = payments("dlq", "peek", "processor", "--json").json
    assert (letter["transaction_id"], letter["event"]) == (name, "payment.processed")
    assert "body" not in letter
    assert waiting(stack, "processor") == 1


def test_nothing_is_sent_dry_or_unasked(payments: Run, stack: Stack) -> None:
    send(stack, "processor", announcement(unique("dead")))
    dry = payments("dlq", "redrive", "processor", "--dry-run", "--json").json
    assert (dry["messages"], dry["sent"], dry["to"]) == (1, 0, "payment-processor-to-notifier-local")
    for command in ("redrive", "purge"):
        unasked = payments("dlq", command, "processor")
        assert unasked.status == 1
        assert "--yes" in unasked.err
        payments("dlq", command, "processor", "--dry-run", "--yes")
    assert waiting(stack, "processor") == 1


def test_an_announcement_is_redriven(payments: Run, stack: Stack, inbox: Inbox) -> None:
    names = [unique("dead") for _ in range(12)]
    for name in names:
        send(stack, "processor", announcement(name))
    sent = payments("dlq", "redrive", "processor", "--yes", "--json")
    assert sent.status == 0
    assert (sent.json["sent"], sent.json["kept"]) == (12, 0)
    for name in names:
        assert inbox.wait(lambda event: event["subject"] == name, SOON)  # noqa: B023
    assert waiting(stack, "processor") == 0


def test_a_charge_is_redriven_and_made_once(payments: Run, stack: Stack, api: Api) -> None:
    payment = stranded(stack)
    send(stack, "validator", encode(Message("payment.validated", payment)))
    assert payments("dlq", "redrive", "validator", "--yes").status == 0
    assert until_final(api, payment.transaction_id, SOON)["status"] == "processed"
    entry = ledger(stack, payment.transaction_id)
    assert entry is not None
    assert entry["attempts"] == {"N": "1"}


def test_an_unreadable_message_is_saved_to_a_file_and_deleted(payments: Run, stack: Stack, tmp_path: Path) -> None:
    send(stack, "validator", "{")
    send(stack, "validator", announcement("stays"))
    letters = payments("dlq", "peek", "validator", "--json").json
    (bad,) = [letter for letter in letters if letter["event"] == "unreadable"]
    file = tmp_path / "kept.jsonl"
    gone = payments("dlq", "purge", "validator", "--id", bad["message_id"], "--save", str(file), "--yes", "--json")
    assert (gone.status, gone.json["deleted"]) == (0, 1)
    assert [json.loads(line)["body"] for line in file.read_text().splitlines()] == ["{"]
    (left,) = payments("dlq", "peek", "validator", "--json").json
    assert left["transaction_id"] == "stays"


# The relay's letters


def records_of(stack: Stack, transaction_id: str) -> list[dict[str, Any]]:
    records = Feed(stack, "TRIM_HORIZON").poll()
    return [one for one in records if one["dynamodb"]["Keys"]["transaction_id"]["S"] == transaction_id]


def announced(inbox: Inbox, transaction_id: str, times: int) -> list[str]:
    """Wait until a payment has been announced this many times; return the announcements' ids."""
    deadline = time.monotonic() + SOON
    while len(inbox.of(transaction_id)) < times and time.monotonic() < deadline:
        time.sleep(0.2)
    return [event["id"] for event in inbox.of(transaction_id)]


def batch_letter(stack: Stack, numbers: list[str], shard: str, moment: str) -> str:
    """A dead letter as Lambda writes it when it gives up a batch of a stream."""
    told = {
        "shardId": shard,
        "startSequenceNumber": numbers[0],
        "endSequenceNumber": numbers[-1],
        "approximateArrivalOfFirstRecord": moment,
        "approximateArrivalOfLastRecord": moment,
        "batchSize": len(numbers),
        "streamArn": stream_arn(stack),
    }
    return json.dumps({"requestContext": {}, "responseContext": {}, "version": "1.0", "DDBStreamBatchInfo": told})


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_the_relay_gave_up_is_relayed_again(
    payments: Run, stack: Stack, api: Api, inbox: Inbox, *, forgotten: bool
) -> None:
    """From the stream or, if that no longer has it, from the table, under the same event id."""
    payment = a_payment()
    name = payment["transaction_id"]
    api.post(payment)
    moment = until_final(api, name, SOON)["updated_at"]
    first = announced(inbox, name, 1)
    records = records_of(stack, name)
    described = stack.client("dynamodbstreams").describe_stream(StreamArn=stream_arn(stack))["StreamDescription"]
    shard = "shardId-00000000000000000000-99999999" if forgotten else described["Shards"][0]["ShardId"]
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
    send(stack, "relay", batch_letter(stack, numbers, shard, moment))
    assert payments("dlq", "peek", "relay", "--json").json[0]["event"] == "stream records"
    sent = payments("dlq", "redrive", "relay", "--yes", "--json")
    assert (sent.status, sent.json["sent"]) == (0, 1)
    assert sent.json["records"] >= (1 if forgotten else 2)
    assert announced(inbox, name, 2) == first * 2


def test_the_letter_of_an_unreadable_item_stays_until_the_item_is_repaired(
    payments: Run, stack: Stack, api: Api, inbox: Inbox
) -> None:
    payment = stranded(stack)
    name = payment.transaction_id
    table, key = stack.outputs["dynamodb_table_name"], {"transaction_id": {"S": name}}
    poison = {"TableName": table, "Key": key, "UpdateExpression": "SET amount_minor = :a"}
    stack.dynamodb.update_item(**poison, ExpressionAttributeValues={":a": {"S": "x"}})
    until_waiting(stack, "relay", 1)
    (letter,) = payments("dlq", "peek", "relay", "--json").json
    assert (letter["transaction_id"], letter["event"]) == (name, "no payment")
    kept = payments("dlq", "redrive", "relay", "--yes", "--json")
    assert (kept.status, kept.json["kept"], kept.json["sent"]) == (3, 1, 0)
    stack.dynamodb.update_item(**poison, ExpressionAttributeValues={":a": {"N": "1250"}})
    # Once repaired, it is announced by itself: an unreadable old image counts as none.
    announced = inbox.wait(lambda event: event["subject"] == name, SOON)
    assert announced is not None
    assert announced["type"] == "payment.unknown"
    assert waiting(stack, "relay") == 1
    sent = payments("dlq", "redrive", "relay", "--yes", "--json")
    assert (sent.status, sent.json["sent"], sent.json["kept"]) == (0, 1, 0)
    assert waiting(stack, "relay") == 0


# Health


def test_a_stranded_payment_is_reconciled(payments: Run, stack: Stack, api: Api) -> None:
    payment = stranded(stack)
    found = payments("doctor", "--json").json["findings"]
    (late,) = [one for one in found if one["check"] == "open payments"]
    assert (late["verdict"], late["remedy"]) == ("warn", "payments reconcile")
    came = payments("reconcile", payment.transaction_id, "--json")
    assert (came.status, came.json) == (0, {"redriven": 1})
    assert until_final(api, payment.transaction_id, SOON)["status"] == "processed"
    item = stored(stack, payment.transaction_id)
    assert item is not None
    assert from_item(item).redrives == 1


def test_an_id_of_no_payment_is_no_success(payments: Run) -> None:
    came = payments("reconcile", unique("nobody"), "--json")
    assert (came.status, came.json) == (1, {"missing": 1})


def test_reconciling_takes_an_age(payments: Run, stack: Stack, api: Api) -> None:
    payment = stranded(stack)
    assert payments("reconcile", "--older-than", str(10 * 24 * 3600), "--json").json == {}
    assert payments("reconcile", "--older-than", "600", "--json").json["redriven"] >= 1
    assert until_final(api, payment.transaction_id, SOON)["status"] == "processed"


def test_the_doctor_finds_a_sound_stack_sound(payments: Run, stack: Stack) -> None:
    found = payments("doctor", "--json").json["findings"]
    wanted = {"outputs", "credentials", "API", "API access", "table", "recovery", "source of relay", "alarms"}
    wanted |= {f"function {function}" for function in stack.outputs["function_names"]}
    verdicts = {one["check"]: one["verdict"] for one in found}
    assert {name: verdicts.get(name) for name in wanted} == dict.fromkeys(wanted, "ok")


def test_the_doctor_finds_dead_letters_and_a_stream_that_is_cut(payments: Run, stack: Stack) -> None:
    send(stack, "processor", announcement(unique("dead")))
    relay = f"{stack.outputs['function_names']['relay']}:live"
    (mapping,) = stack.functions.list_event_source_mappings(FunctionName=relay)["EventSourceMappings"]
    stack.functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        found = payments("doctor")
    finally:
        stack.functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    assert found.status == 3
    assert "payments dlq peek processor" in found.out
    assert f"update-event-source-mapping --enabled --uuid {mapping['UUID']}" in found.out


# The command itself


def test_an_account_is_reached_by_its_outputs(payments: Run, stack: Stack, tmp_path: Path) -> None:
    """In a separate process, with only a file of outputs and the usual variables: no Terraform, no state."""
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps({name: {"value": value} for name, value in stack.outputs.items()}))
    ran = subprocess.run(
        [ROOT / ".venv" / "bin" / "payments", "dlq", "list", "--env", "dev", "--json"],
        env={
            "PATH": os.environ["PATH"],
            "PAYMENTS_OUTPUTS": str(file),
            "AWS_ENDPOINT_URL": str(stack.endpoint),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["relay"] == {"waiting": 0, "in_flight": 0, "delayed": 0}


def test_no_function_carries_it(deployed: Deployed) -> None:
    built = deployed.terraform.root / "build"
    functions = zipfile.ZipFile(built / "functions-local.zip").namelist()
    assert {name.split("/")[0] for name in functions} == {"payments"}
    layer = zipfile.ZipFile(built / "layer-local.zip").namelist()
    packages = {name.split("/")[1] for name in layer}
    assert "msgspec" in packages
    assert not packages & {"ops", "local", "typer", "rich", "click", "boto3", "requests", "playwright"}
