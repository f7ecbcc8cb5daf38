from __future__ import annotations

from payments.domain.payment import DisputeRecord
from payments.table.items import from_item, to_item
from tests.support.aws import payment

# A dispute as existing tables hold it.
STORED = {
    "amount_minor": {"N": "1250"},
    "status": {"S": "needs_response"},
    "reason": {"S": "fraudulent"},
    "told": {"N": "3"},
    "updated_at": {"S": "2026-01-01T00:00:00.000000Z"},
}


def test_a_disputes_sequence_keeps_its_stored_name() -> None:
    dispute = DisputeRecord(1250, "needs_response", "fraudulent", 3, "2026-01-01T00:00:00.000000Z")
    disputed = payment(disputes={"du_1": dispute})
    assert to_item(disputed)["disputes"] == {"M": {"du_1": {"M": STORED}}}
    assert from_item(to_item(payment()) | {"disputes": {"M": {"du_1": {"M": STORED}}}}) == disputed
