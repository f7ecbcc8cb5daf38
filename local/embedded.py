"""The embedded AWS's own process: MiniStack, and what it lacks. Run it with the interpreter of its environment."""

from __future__ import annotations

import asyncio
import asyncio.constants
import copy
import logging
import os
import signal
from pathlib import Path
from typing import Any

import hypercorn.asyncio
from hypercorn.config import Config
from ministack import app
from ministack.services import dynamodb, lambda_svc


def _keep_connections() -> None:
    # The server ends a connection after its thousandth request, even during a request. A deployment makes more.
    Config.keep_alive_max_requests = 1_000_000_000
    # When it stops, it waits this long for every client to close its connection. An idle client never does.
    asyncio.constants.SSL_SHUTDOWN_TIMEOUT = 1.0


def _keep_streams() -> None:
    """Keep a table's stream over a restart: AWS keeps it for a day. MiniStack keeps everything else that we use."""
    tables, restore_tables = dynamodb.get_state, dynamodb.load_persisted_state
    functions = lambda_svc.get_state

    def state_of_tables() -> dict[str, Any]:
        # In this order, because a write in between is then at least in the stream.
        state: dict[str, Any] = tables()
        records = copy.deepcopy(dynamodb._stream_records)  # noqa: SLF001 - no other way is offered
        return state | {"stream_records": records, "stream_sequence": dynamodb._stream_seq_counter}  # noqa: SLF001

    def restore(state: dict[str, Any]) -> None:
        restore_tables(state)
        dynamodb._stream_records.update(state.get("stream_records", {}))  # noqa: SLF001
        dynamodb._stream_seq_counter = state.get("stream_sequence", 0)  # noqa: SLF001

    def state_of_functions() -> dict[str, Any]:
        # Without the position in the stream. The parts are not saved at the same moment, and a position ahead of the
        # queues would lose a message. So the stream is read again from its oldest record, as at-least-once allows.
        state: dict[str, Any] = functions()
        return state | {"dynamodb_stream_positions": {}}

    dynamodb.get_state, dynamodb.load_persisted_state = state_of_tables, restore
    lambda_svc.get_state = state_of_functions


def _end_at_once() -> None:
    """End right after saving. Otherwise, while it waits for clients and threads, it would answer and then forget."""
    serve = hypercorn.asyncio.serve

    async def serve_until_asked(application: Any, config: Config) -> None:  # noqa: ANN401 - MiniStack's
        # In the loop's own thread, so that nothing is answered during the save.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _save_and_end)
        # MiniStack also wants port 443, which nobody here calls: of two servers that start together, one would end.
        del config.bind[1:]
        await serve(application, config, shutdown_trigger=asyncio.Event().wait)

    hypercorn.asyncio.serve = serve_until_asked


def _save_and_end() -> None:
    if app.PERSIST_STATE:
        app.save_all(app._build_persistence_save_dict())  # noqa: SLF001 - what it would do itself
    Path(app._pid_file(int(app._resolve_port()))).unlink(missing_ok=True)  # noqa: SLF001
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    _keep_connections()
    _keep_streams()
    _end_at_once()
    app.main()
