"""Putting payments back from a restored table: they are marked, and never overwrite an existing item."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest.mock import MagicMock

import pytest

from local import LocalError
from ops import target
from ops.client import Api
from ops.restoring import Backup
from payments.table.items import from_item, to_item
from tests.support.aws import TABLE, item, payment
from tests.support.commands import Ran, runner
from tests.support.stack import FakeStack, refused

Run = Callable[..., Ran]
RESTORED = f"{TABLE}-restored"
CHARGED = payment(status="processed", gateway_reference="ref", version=2)


@pytest.fixture
def stack(dynamodb: Any) -> Any:
    """A stack with a table in service, and a restored table that has a charged payment."""
    made = FakeStack(clients={"dynamodb": dynamodb})
    made.outputs["dynamodb_table_name"] = TABLE
    dynamodb.create_table(
        TableName=RESTORED,
        KeySchema=[{"AttributeName": "transaction_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "transaction_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    # Attributes of an earlier or a later version are put back too.
    dynamodb.put_item(TableName=RESTORED, Item=to_item(CHARGED) | {"unheard_of": {"S": "kept"}})
    yield made
    dynamodb.delete_table(TableName=RESTORED)


@pytest.fixture
def restore(stack: FakeStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    api = MagicMock(spec=Api)
    monkeypatch.setattr(target, "resolve", lambda env: target.Target(env, stack, api))  # type: ignore[arg-type]
    run = runner(monkeypatch, capsys)
    return lambda *arguments: run("restore", *arguments, "--from", RESTORED, "--env", "dev")


def test_a_payment_is_put_back_as_it_was_and_marked(dynamodb: Any, restore: Run) -> None:
    before = datetime.now(UTC)
    assert restore("order-1", "--yes").status == 0
    found = from_item(item(dynamodb))
    assert datetime.fromisoformat(found.restored_at) >= before
    assert found.updated_at == found.restored_at
    # No announcement of a lost version can have the same id.
    assert found.version >= int(before.timestamp())
    same = {"status", "gateway_reference", "amount_minor", "created_at", "fingerprint", "payment_method"}
    assert all(getattr(found, name) == getattr(CHARGED, name) for name in same)
    assert item(dynamodb)["unheard_of"] == {"S": "kept"}


@pytest.mark.parametrize("arguments", [("--dry-run",), ("--dry-run", "--yes"), ()])
def test_nothing_is_written_dry_or_unasked(dynamodb: Any, restore: Run, arguments: tuple[str, ...]) -> None:
    ran = restore("order-1", *arguments)
    assert ran.status == (0 if arguments else 1)
    assert dynamodb.scan(TableName=TABLE)["Items"] == []


def test_an_item_that_is_there_is_left_as_it_is(dynamodb: Any, restore: Run) -> None:
    there = to_item(payment(status="failed", failure_code="stolen_card"))
    dynamodb.put_item(TableName=TABLE, Item=there)
    ran = restore("order-1", "nobody", "--yes", "--json")
    assert ran.status == 3
    assert ran.json["payments"] == {"order-1": "in the table: left as it is", "nobody": "not in the backup"}
    assert item(dynamodb) == there


@pytest.mark.parametrize("version", ["7", None])
def test_an_item_that_is_damaged_is_replaced_on_demand(dynamodb: Any, restore: Run, version: str | None) -> None:
    damaged = {"transaction_id": {"S": "order-1"}} | ({"version": {"N": version}} if version else {})
    dynamodb.put_item(TableName=TABLE, Item=damaged)
    assert restore("order-1", "--replace", "--yes").status == 0
    assert from_item(item(dynamodb)).status == "processed"


def test_an_item_that_changes_meanwhile_is_not_replaced(
    dynamodb: Any, restore: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamodb.put_item(TableName=TABLE, Item=to_item(payment()))
    put = Backup._put  # noqa: SLF001

    def late(backup: Backup, put_back: Any, live: Any) -> bool:
        dynamodb.put_item(TableName=TABLE, Item=to_item(payment(version=2)))
        return put(backup, put_back, live)

    monkeypatch.setattr(Backup, "_put", late)
    ran = restore("order-1", "--replace", "--yes", "--json")
    assert (ran.status, ran.json["payments"]) == (3, {"order-1": "changed meanwhile: left as it is"})
    assert from_item(item(dynamodb)).version == 2


def test_an_item_that_is_not_a_payment_is_not_put_back(dynamodb: Any, restore: Run) -> None:
    dynamodb.put_item(TableName=RESTORED, Item={"transaction_id": {"S": "order-1"}})
    assert restore("order-1", "--yes", "--json").json["payments"] == {"order-1": "no payment in the backup"}
    assert dynamodb.scan(TableName=TABLE)["Items"] == []


def test_the_table_in_service_is_no_backup(stack: FakeStack) -> None:
    with pytest.raises(LocalError, match="is the table in service"):
        Backup(stack, TABLE)  # type: ignore[arg-type]


def test_another_refusal_does_not_count_as_an_existing_item(
    dynamodb: Any, restore: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(**_: object) -> None:
        raise refused("AccessDeniedException", "PutItem")

    monkeypatch.setattr(dynamodb, "put_item", denied)
    assert restore("order-1", "--yes").status == 1


def test_a_wrong_id_is_refused(restore: Run) -> None:
    assert restore("a/b", "--yes").status == 2
