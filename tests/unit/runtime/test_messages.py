from __future__ import annotations

import json
from typing import Any

import pytest

from payments.domain.errors import PoisonError
from payments.domain.message import Message, Task
from payments.runtime.messages import decode_message, decode_task, encode
from tests.support.aws import payment

# As the queues and dead-letter queues of existing stacks hold it.
HELD: dict[str, Any] = {
    "schema": 1,
    "event": "payment.processed",
    "payment": {
        "transaction_id": "order-1",
        "customer_id": "ada",
        "amount_minor": 1250,
        "currency": "EUR",
        "status": "processed",
        "version": 2,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "updated_at": "2026-01-01T00:00:00.000000Z",
        "disputes": {
            "du_1": {
                "amount_minor": 1250,
                "status": "needs_response",
                "reason": "fraudulent",
                "told": 3,
                "updated_at": "2026-01-01T00:00:00.000000Z",
            }
        },
    },
    "dispute_id": "du_1",
}


def test_a_message_is_written_as_it_was_held() -> None:
    assert json.loads(encode(decode_message(json.dumps(HELD)))) == HELD


def test_what_is_written_is_read() -> None:
    message = Message("payment.processed", payment(status="processed"), one_of_several=True)
    assert decode_message(encode(message)) == message
    task = Task(event="payment.validated", transaction_id="order-1")
    assert decode_task(encode(task)) == task


@pytest.mark.parametrize("schema", [None, 0, 2, "1"])
def test_a_message_of_another_schema_is_not_read(schema: object) -> None:
    held = {name: value for name, value in (HELD | {"schema": schema}).items() if value is not None}
    with pytest.raises(PoisonError, match="not a message of ours"):
        decode_message(json.dumps(held))
