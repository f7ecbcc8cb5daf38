"""The fake Stripe of a local stack that charges through Stripe: a process of its own, on a free port of loopback.

It lives with the stack, and keeps its books in memory. Its record says which process it is; whom it tells its events,
and how it signs them, is written once the stack is there.
"""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local import ROOT
from local.server import HOST, free_port, start_process, wait_until_up
from ops.record import ServerRecord

if TYPE_CHECKING:
    from pathlib import Path

    from ops.stack import Stack

# The gateway that it stands in for.
NAME = "stripe"
# They open nothing but this one.
_KEY, _SECRET = "sk_test_fake", "whsec_of_the_fake_stripe"
_MODULE = "tests.support.stripe_server"
_START_SECONDS = 20.0


@dataclass(frozen=True)
class FakeStripeServer(ServerRecord):
    """The record of a fake Stripe."""

    program = _MODULE

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"


def _record(folder: Path) -> Path:
    return folder / "stripe.json"


def recorded(folder: Path) -> FakeStripeServer | None:
    """Return the fake Stripe that an earlier run has recorded."""
    return FakeStripeServer.read(_record(folder))


def bring_up(folder: Path) -> tuple[FakeStripeServer, bool]:
    """Use an earlier run's, or start one, on the earlier port if there was one; say whether it was started."""
    earlier = recorded(folder)
    if earlier is not None and earlier.runs():
        return earlier, False
    port = earlier.port if earlier is not None else free_port()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "fake-stripe.log"
    process = start_process([sys.executable, "-m", _MODULE, str(port), str(_listener(folder))], log, cwd=ROOT)
    started = FakeStripeServer(process.pid, port)
    started.write(_record(folder))
    failed = f"the fake Stripe did not start on port {port}. Its log: {log}"
    wait_until_up(process, lambda: _answers(port), _START_SECONDS, failed)
    return started, True


def stop(folder: Path) -> None:
    """Stop it if it runs."""
    FakeStripeServer.stop(_record(folder))


def variables(folder: Path) -> dict[str, str]:
    """Return the variables that let Terraform deploy with it; none if there is no fake Stripe."""
    fake = recorded(folder)
    return {} if fake is None else {"TF_VAR_gateway": NAME, "TF_VAR_stripe_address": fake.address}


def introduce(folder: Path, stack: Stack) -> None:
    """Give the stack its secrets, and tell the fake Stripe where its events go."""
    put_secrets(stack, _KEY, _SECRET)
    listener = {"url": f"{stack.api_url}/gateways/stripe/webhook", "secret": _SECRET, "trusted": stack.trusted}
    _listener(folder).write_text(json.dumps(listener), encoding="utf-8")


def put_secrets(stack: Stack, key: str, signing_secret: str) -> None:
    """Put the API key, and what the events are signed with, as an operator does."""
    secrets = stack.client("secretsmanager")
    names = stack.gateway["secret_names"]
    secrets.put_secret_value(SecretId=names["key"], SecretString=key)
    secrets.put_secret_value(SecretId=names["webhook"], SecretString=json.dumps({"secrets": [signing_secret]}))


def _listener(folder: Path) -> Path:
    return folder / "stripe-listener.json"


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
