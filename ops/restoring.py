"""Copy single payments back from a table that was restored next to the live one.

Charges and refunds after the backup are not in the item, but they did happen. So the item is marked, and from then on
the processor asks the gateway before each charge and refund of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local import LocalError
from ops.failures import code_of
from payments.domain.clock import timestamp
from payments.domain.errors import PoisonError
from payments.table.items import from_item

if TYPE_CHECKING:
    from datetime import datetime

    from ops.stack import Stack

Item = dict[str, Any]


class Outcome(StrEnum):
    """The result of putting a payment back."""

    RESTORED = "restored"
    THERE = "in the table: left as it is"
    CHANGED = "changed meanwhile: left as it is"
    NOT_IN_BACKUP = "not in the backup"
    NOT_A_PAYMENT = "no payment in the backup"


def marked(item: Item, now: datetime, live: Item | None) -> Item:
    """Return a backup's item as it is put back.

    Receivers drop an announcement whose id they know, and the id contains the version. So the new version must exceed
    every lost one: it is the number of seconds since 1970.
    """
    moment = timestamp(now)
    seen = int((live or {}).get("version", {}).get("N", 0))
    version = max(int(now.timestamp()), seen + 1)
    return item | {"restored_at": {"S": moment}, "updated_at": {"S": moment}, "version": {"N": str(version)}}


@dataclass(frozen=True)
class Backup:
    """A restored table next to the live one."""

    stack: Stack
    table: str

    def __post_init__(self) -> None:
        if self.table == self._live:
            raise LocalError(f"{self.table} is the table in service: name the one that was restored next to it")

    @property
    def _live(self) -> str:
        return str(self.stack.outputs["dynamodb_table_name"])

    def restore(self, transaction_id: str, now: datetime, *, replace: bool, dry_run: bool) -> Outcome:
        """Put a payment back unless the table has it.

        With ``replace``, the item in the table is overwritten, unless it changes in the meantime.
        """
        item, live = self._item(self.table, transaction_id), self._item(self._live, transaction_id)
        if item is None:
            return Outcome.NOT_IN_BACKUP
        try:
            from_item(item)
        except PoisonError:
            return Outcome.NOT_A_PAYMENT
        if live is not None and not replace:
            return Outcome.THERE
        if not dry_run and not self._put(marked(item, now, live), live):
            return Outcome.CHANGED
        return Outcome.RESTORED

    def _put(self, item: Item, live: Item | None) -> bool:
        unchanged: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(transaction_id)"}
        if live is not None and "version" in live:
            unchanged = {
                "ConditionExpression": "version = :seen",
                "ExpressionAttributeValues": {":seen": live["version"]},
            }
        elif live is not None:
            unchanged = {"ConditionExpression": "attribute_exists(transaction_id) AND attribute_not_exists(version)"}
        try:
            self.stack.dynamodb.put_item(TableName=self._live, Item=item, **unchanged)
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _item(self, table: str, transaction_id: str) -> Item | None:
        key = {"transaction_id": {"S": transaction_id}}
        return self.stack.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
