"""A gateway that moves no money. It keeps books in its own table, so that its idempotency is real.

The payment method alone decides what it does:

    pm_sim_approved               charges
    pm_sim_declined_<code>        declines with that code
    pm_sim_timeout_after_charge   the first attempt charges, but its answer is lost; later attempts get the answer
    pm_sim_timeout_before_charge  the first attempt is lost before it charges; the second charges
    pm_sim_rate_limited           the first attempt is refused as one call too many; the second charges
    pm_sim_unavailable            never answers, never charges
    pm_sim_refund_<behaviour>     charges; a refund then behaves as one of the above:
                                  declined_<code>, timeout_after_charge, timeout_before_charge, rate_limited,
                                  unavailable

Any other payment method is declined with ``invalid_payment_method``. A refund of a charge by one of the first six
payment methods is approved.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from payments.domain.clock import now, timestamp
from payments.gateways.port import Approved, Charge, Declined, Outcome, RateLimited, Refund, Unknown, idempotency_key
from payments.runtime import settings
from payments.runtime.calls import available

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


_TOKEN = "pm_sim_"  # noqa: S105 - where the simulator's payment methods begin

_DECLINED = "declined_"

_REFUND = "refund_"


class Simulator:
    """The simulator behind a DynamoDB client; ``clock`` returns the time."""

    def __init__(self, client: Any, table: str, clock: Callable[[], datetime]) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._table = table
        self._clock = clock

    def charge(self, charge: Charge) -> Outcome:
        """Charge once for each key; see the module for what each payment method does."""
        entry = self._attempt(charge.key, charge, charge.payment_method)
        if not _same(entry, charge, charge.payment_method):
            return Unknown("the idempotency key was used for another charge")
        behaviour = charge.payment_method.removeprefix(_TOKEN)
        if behaviour == charge.payment_method:
            return self._declined(charge.key, "invalid_payment_method")
        if behaviour.startswith(_REFUND):
            behaviour = "approved"
        return self._behave(behaviour, charge.key, entry, lambda: self._approved(charge.key))

    def refund(self, refund: Refund) -> Outcome:
        """Refund once for each key; see the module for what each payment method does."""
        charge_key = idempotency_key(refund.transaction_id)
        charged = self._entry(charge_key)
        if charged.get("reference", {}).get("S") != refund.charge_reference:
            return Declined("charge_not_found")
        method = charged["payment_method"]["S"].removeprefix(_TOKEN)
        entry = self._attempt(refund.key, refund, refund.charge_reference)
        if not _same(entry, refund, refund.charge_reference):
            return Unknown("the idempotency key was used for another refund")
        behaviour = method.removeprefix(_REFUND) if method.startswith(_REFUND) else "approved"
        return self._behave(behaviour, refund.key, entry, lambda: self._book_refund(charge_key, charged, refund))

    def lookup(self, request: Charge | Refund) -> Approved | Declined | None:
        """Return the decision that is stored under the key, if there is one."""
        entry = self._entry(request.key)
        if "decided_at" not in entry:
            return None
        return Approved(entry["reference"]["S"]) if "reference" in entry else Declined(entry["failure_code"]["S"])

    def _behave(  # noqa: PLR0911 - one return for each behaviour
        self, behaviour: str, key: str, entry: dict[str, Any], do: Callable[[], Approved | Declined]
    ) -> Outcome:
        first = entry["attempts"]["N"] == "1"
        match behaviour:
            case "approved":
                return do()
            case "timeout_after_charge":
                done = do()
                return Unknown("the answer was lost after the charge") if first else done
            case "timeout_before_charge":
                return Unknown("the call was lost before the charge") if first else do()
            case "rate_limited":
                return RateLimited() if first else do()
            case "unavailable":
                return Unknown("the gateway does not answer")
            case _ if behaviour.startswith(_DECLINED) and behaviour != _DECLINED:
                return self._declined(key, behaviour.removeprefix(_DECLINED))
            case _:
                return self._declined(key, "invalid_payment_method")

    def _book_refund(self, charge_key: str, charged: dict[str, Any], refund: Refund) -> Approved | Declined:
        """Enter a refund in its charge's books, once for each key and never more than was charged."""
        rest = int(charged["amount_minor"]["N"]) - refund.money.minor
        try:
            with available():
                self._client.update_item(
                    TableName=self._table,
                    Key={"idempotency_key": {"S": charge_key}},
                    UpdateExpression="ADD refunded_minor :amount, refund_keys :keys",
                    ConditionExpression="(attribute_not_exists(refund_keys) OR NOT contains(refund_keys, :key)) "
                    "AND (attribute_not_exists(refunded_minor) OR refunded_minor <= :rest) AND amount_minor >= :amount",
                    ExpressionAttributeValues={
                        ":amount": {"N": str(refund.money.minor)},
                        ":rest": {"N": str(rest)},
                        ":key": {"S": refund.key},
                        ":keys": {"SS": [refund.key]},
                    },
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            old = cast("dict[str, Any]", error.response)["Item"]
            if refund.key not in old.get("refund_keys", {}).get("SS", []):
                return self._declined(refund.key, "refund_exceeds_charge")
        return self._approved(refund.key)

    def _approved(self, key: str) -> Approved:
        reference = "sim_" + hashlib.sha256(key.encode()).hexdigest()[:24]
        entry = self._decide(key, "reference", reference)
        return Approved(entry["reference"]["S"])

    def _declined(self, key: str, code: str) -> Declined:
        return Declined(self._decide(key, "failure_code", code)["failure_code"]["S"])

    def _decide(self, key: str, name: str, value: str) -> dict[str, Any]:
        return self._update(
            key,
            "SET decided_at = if_not_exists(decided_at, :at), #name = if_not_exists(#name, :value)",
            {":at": {"S": timestamp(self._clock())}, ":value": {"S": value}},
            {"#name": name},
        )

    def _attempt(self, key: str, request: Charge | Refund, source: str) -> dict[str, Any]:
        return self._update(
            key,
            "SET amount_minor = if_not_exists(amount_minor, :amount), currency = if_not_exists(currency, :currency), "
            "payment_method = if_not_exists(payment_method, :source), "
            "transaction_id = if_not_exists(transaction_id, :transaction) ADD attempts :one",
            {
                ":transaction": {"S": request.transaction_id},
                ":amount": {"N": str(request.money.minor)},
                ":currency": {"S": request.money.currency},
                ":source": {"S": source},
                ":one": {"N": "1"},
            },
        )

    def _update(
        self, key: str, expression: str, values: dict[str, Any], names: dict[str, str] | None = None
    ) -> dict[str, Any]:
        request = {
            "TableName": self._table,
            "Key": {"idempotency_key": {"S": key}},
            "UpdateExpression": expression,
            "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_NEW",
        } | ({"ExpressionAttributeNames": names} if names else {})
        with available():
            entry: dict[str, Any] = self._client.update_item(**request)["Attributes"]
        return entry

    def _entry(self, key: str) -> dict[str, Any]:
        with available():
            found = self._client.get_item(
                TableName=self._table, Key={"idempotency_key": {"S": key}}, ConsistentRead=True
            )
        entry: dict[str, Any] = found.get("Item", {})
        return entry


def create_gateway(dynamodb: Any) -> Simulator:  # noqa: ANN401 - botocore's
    """Return the simulator, with its books in the table that the settings name."""
    return Simulator(dynamodb, settings.text("SIMULATOR_TABLE_NAME"), now)


def _same(entry: dict[str, Any], request: Charge | Refund, source: str) -> bool:
    return (entry["amount_minor"]["N"], entry["currency"]["S"], entry["payment_method"]["S"]) == (
        str(request.money.minor),
        request.money.currency,
        source,
    )
