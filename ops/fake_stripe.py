"""The fake Stripe of a local stack that charges through Stripe: a process of its own, on a free port of loopback.

It lives with the stack, and keeps its books in memory. Its record says which process it is; whom it tells its events,
and how it signs them, is written once the stack is there.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from local import ROOT, LocalError
from local.server import HOST, free_port, is_process, stop_process

if TYPE_CHECKING:
    from pathlib import Path

    from ops.stack import Stack

# They open nothing but this one.
_KEY, _SECRET = "sk_test_fake", "whsec_fake"
_MODULE = "tests.fakes.stripe_server"
_START_SECONDS = 20.0


@dataclass(frozen=True)
class FakeStripe:
    """The record of a fake Stripe that was started."""

    pid: int
    port: int

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def runs(self) -> bool:
        """Say whether its process is there."""
        return is_process(self.pid, _MODULE)


def _record(folder: Path) -> Path:
    return folder / "stripe.json"


def recorded(folder: Path) -> FakeStripe | None:
    """Return the fake Stripe that an earlier run has recorded."""
    try:
        return FakeStripe(**json.loads(_record(folder).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, TypeError) as error:
        raise LocalError(f"{_record(folder)} cannot be read: {error}. Run: make down") from error


def bring_up(folder: Path) -> tuple[FakeStripe, bool]:
    """Go on with an earlier run's, or start one, on the same port if there was one; say whether it was started."""
    earlier = recorded(folder)
    if earlier is not None and earlier.runs():
        return earlier, False
    port = earlier.port if earlier is not None else free_port()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "fake-stripe.log"
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", _MODULE, str(port), str(_listener(folder))],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started = FakeStripe(process.pid, port)
    _record(folder).write_text(json.dumps(asdict(started)), encoding="utf-8")
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(folder)
            raise LocalError(f"the fake Stripe did not come up on port {port}. Its log: {log}")
        time.sleep(0.05)
    return started, True


def stop(folder: Path) -> None:
    """Stop it, where it runs."""
    try:
        fake = recorded(folder)
    except LocalError:
        return  # an unreadable record tells of no process that could be stopped
    if fake is not None and fake.runs():
        stop_process(fake.pid)


def variables(folder: Path) -> dict[str, str]:
    """Return what tells Terraform to charge through it; nothing where there is none."""
    fake = recorded(folder)
    return {} if fake is None else {"TF_VAR_gateway": "stripe", "TF_VAR_stripe_address": fake.address}


def introduce(folder: Path, stack: Stack) -> None:
    """Put the stack's secrets, as an operator does, and tell the fake Stripe where its events go."""
    secrets = stack.client("secretsmanager")
    names = stack.outputs["stripe"]["secret_names"]
    secrets.put_secret_value(SecretId=names["key"], SecretString=_KEY)
    secrets.put_secret_value(SecretId=names["webhook"], SecretString=json.dumps({"secrets": [_SECRET]}))
    told = {"url": f"{stack.api_url}/gateways/stripe/webhook", "secret": _SECRET, "trusted": stack.trusted}
    _listener(folder).write_text(json.dumps(told), encoding="utf-8")


def _listener(folder: Path) -> Path:
    return folder / "stripe-listener.json"


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
