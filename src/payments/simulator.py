"""A gateway that moves no money. It keeps books in a table of its own, so that its idempotency is real.

What it does depends on the payment method alone:

    pm_sim_approved               charges
    pm_sim_declined_<code>        declines with that code
    pm_sim_timeout_after_charge   the first attempt charges, and its answer is lost; later ones get it
    pm_sim_timeout_before_charge  the first attempt is lost on the way; the second charges
    pm_sim_rate_limited           the first attempt is refused as too many; the second charges
    pm_sim_unavailable            never answers, never charges

Any other payment method is declined with ``invalid_payment_method``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from payments.aws import available
from payments.gateway import Approved, Charge, Declined, Outcome, RateLimited, Unknown
from payments.model import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_DECLINED = "pm_sim_declined_"


class Simulator:
    """The simulator behind a DynamoDB client; ``clock`` tells the time."""

    def __init__(self, client: Any, table: str, clock: Callable[[], datetime]) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._table = table
        self._clock = clock

    def charge(self, charge: Charge) -> Outcome:  # noqa: PLR0911 - one return a payment method
        """Charge once for each key; see the module for what each payment method does."""
        entry = self._write(
            charge,
            "SET amount_minor = if_not_exists(amount_minor, :amount), currency = if_not_exists(currency, :currency), "
            "payment_method = if_not_exists(payment_method, :method) ADD attempts :one",
            {":one": {"N": "1"}},
        )
        if not _same(entry, charge):
            return Declined("idempotency_key_reused")
        first = entry["attempts"]["N"] == "1"
        match charge.payment_method:
            case "pm_sim_approved":
                return self._charged(charge)
            case "pm_sim_timeout_after_charge":
                approved = self._charged(charge)
                return Unknown("the answer was lost after the charge") if first else approved
            case "pm_sim_timeout_before_charge":
                return Unknown("the call was lost before the charge") if first else self._charged(charge)
            case "pm_sim_rate_limited":
                return RateLimited() if first else self._charged(charge)
            case "pm_sim_unavailable":
                return Unknown("the gateway does not answer")
            case method if method.startswith(_DECLINED) and len(method) > len(_DECLINED):
                return Declined(method.removeprefix(_DECLINED))
            case _:
                return Declined("invalid_payment_method")

    def lookup(self, charge: Charge) -> Approved | Declined | None:
        """Return the charge that was made under the key, if any."""
        with available():
            found = self._client.get_item(
                TableName=self._table, Key={"idempotency_key": {"S": charge.key}}, ConsistentRead=True
            )
        entry = found.get("Item", {})
        return Approved(entry["reference"]["S"]) if "charged_at" in entry else None

    def _charged(self, charge: Charge) -> Approved:
        entry = self._write(
            charge,
            "SET charged_at = if_not_exists(charged_at, :at), #reference = if_not_exists(#reference, :reference)",
            {
                ":at": {"S": timestamp(self._clock())},
                ":reference": {"S": "sim_" + hashlib.sha256(charge.key.encode()).hexdigest()[:24]},
            },
            names={"#reference": "reference"},
        )
        return Approved(entry["reference"]["S"])

    def _write(
        self, charge: Charge, expression: str, values: dict[str, Any], names: dict[str, str] | None = None
    ) -> dict[str, Any]:
        if ":amount" in expression:
            values = values | {
                ":amount": {"N": str(charge.money.minor)},
                ":currency": {"S": charge.money.currency},
                ":method": {"S": charge.payment_method},
            }
        request = {
            "TableName": self._table,
            "Key": {"idempotency_key": {"S": charge.key}},
            "UpdateExpression": expression,
            "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_NEW",
        } | ({"ExpressionAttributeNames": names} if names else {})
        with available():
            entry: dict[str, Any] = self._client.update_item(**request)["Attributes"]
        return entry


def _same(entry: dict[str, Any], charge: Charge) -> bool:
    return (entry["amount_minor"]["N"], entry["currency"]["S"], entry["payment_method"]["S"]) == (
        str(charge.money.minor),
        charge.money.currency,
        charge.payment_method,
    )
