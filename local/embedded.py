"""The embedded AWS's own process: MiniStack, and what it leaves out. Run it by the interpreter of its environment."""

from __future__ import annotations

import asyncio.constants
import copy
import logging
import os
from typing import Any

from hypercorn.config import Config
from ministack import app
from ministack.services import dynamodb, lambda_svc


def _keep_connections() -> None:
    # The server ends a connection after its thousandth request, whatever is under way on it. A deployment makes more.
    Config.keep_alive_max_requests = 1_000_000_000
    # When it is stopped, it waits so long for every client to say goodbye, and a client's idle connection never does.
    asyncio.constants.SSL_SHUTDOWN_TIMEOUT = 1.0


def _keep_streams() -> None:
    """Let a table's stream outlast a restart, as AWS keeps it for a day. MiniStack keeps all else that we use."""
    tables, restore_tables = dynamodb.get_state, dynamodb.load_persisted_state
    functions = lambda_svc.get_state

    def state_of_tables() -> dict[str, Any]:
        # In this order: what is written in between is in the stream at least.
        state: dict[str, Any] = tables()
        records = copy.deepcopy(dynamodb._stream_records)  # noqa: SLF001 - no other way is offered
        return state | {"stream_records": records, "stream_sequence": dynamodb._stream_seq_counter}  # noqa: SLF001

    def restore(state: dict[str, Any]) -> None:
        restore_tables(state)
        dynamodb._stream_records.update(state.get("stream_records", {}))  # noqa: SLF001
        dynamodb._stream_seq_counter = state.get("stream_sequence", 0)  # noqa: SLF001

    def state_of_functions() -> dict[str, Any]:
        # Without how far the stream was read. What is saved is of no single moment, and a position that is ahead of
        # the queues would lose a message: it is read again from its oldest record, as at least once allows.
        state: dict[str, Any] = functions()
        return state | {"dynamodb_stream_positions": {}}

    dynamodb.get_state, dynamodb.load_persisted_state = state_of_tables, restore
    lambda_svc.get_state = state_of_functions


def _save_last() -> None:
    """End with the save: who is answered after it, while a thread is waited for, would find nothing of it kept."""
    save_all = app.save_all

    def save_and_end(services: dict[str, Any]) -> None:
        save_all(services)
        logging.shutdown()
        os._exit(0)

    app.save_all = save_and_end


if __name__ == "__main__":
    _keep_connections()
    _keep_streams()
    _save_last()
    app.main()
