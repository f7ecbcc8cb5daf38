"""One stack for the whole session: an embedded AWS of its own, one apply, IAM in force."""

from __future__ import annotations

import json
import ssl
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from chaos.proxy import Proxy
from local.server import EmbeddedAWS
from local.tls import CERTIFICATE, KEY, make_certificate
from ops import running
from ops.client import Api, Keys, create_client
from ops.display import Step
from ops.inbox import Inbox
from tests.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.stack import Stack
    from ops.terraform import Terraform


@dataclass(frozen=True)
class Deployed:
    """A running stack, the Terraform that made it, and what stands between its functions and AWS."""

    stack: Stack
    terraform: Terraform
    proxy: Proxy
    server_pid: int


# The endpoints that are told by webhooks. Short delays, so that every retry can be waited for.
WEBHOOKS: dict[str, dict[str, Any]] = {
    "shop": {"retry_delays_seconds": [2, 4, 6]},
    "refusals": {"retry_delays_seconds": [1, 1], "events": ["payment.failed"]},
    "slow": {"retry_delays_seconds": [1, 3]},
}
SECRET_TTL_SECONDS = 2


@pytest.fixture(scope="session")
def receivers() -> Iterator[dict[str, Receiver]]:
    """A receiver on loopback for each endpoint."""
    make_certificate()
    with ExitStack() as opened:
        listening = {}
        for name in WEBHOOKS:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE, KEY)
            listening[name] = opened.enter_context(Receiver(context))
        yield listening


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory, receivers: dict[str, Receiver]) -> Iterator[Deployed]:
    place = running.Place(tmp_path_factory.mktemp("stack"))
    with Proxy(place.folder) as proxy, EmbeddedAWS(place.folder, functions_endpoint=proxy.url) as embedded:
        # It lets everything through, until a test sets faults.
        proxy.start(embedded.url)
        terraform = running.terraform(place, embedded.url)
        webhooks = {
            name: spec | {"url": f"https://localhost:{receivers[name].port}/{name}", "timeout_seconds": 3}
            for name, spec in WEBHOOKS.items()
        }
        terraform.environment = {
            **terraform.environment,
            "TF_VAR_webhooks": json.dumps(webhooks),
            "TF_VAR_webhook_secret_ttl_seconds": str(SECRET_TTL_SECONDS),
            "TF_VAR_allowed_private_cidrs": json.dumps(["127.0.0.0/8", "::1/128"]),
        }
        stack = running.deploy(terraform, embedded.url, Step("Deploying"))
        assert embedded.pid is not None
        yield Deployed(stack, terraform, proxy, embedded.pid)


@pytest.fixture(scope="session")
def stack(deployed: Deployed) -> Stack:
    return deployed.stack


@pytest.fixture(scope="session")
def api(stack: Stack) -> Api:
    """The API, called by a user that may do nothing but call it."""
    return Api(stack.api_url, stack.region, create_client(stack), stack.trusted)


@pytest.fixture(scope="session")
def api_unsigned(stack: Stack) -> Api:
    return Api(stack.api_url, stack.region, None, stack.trusted)


@pytest.fixture(scope="session")
def api_with_wrong_keys(stack: Stack) -> Api:
    return Api(stack.api_url, stack.region, Keys("AKIAIOSFODNN7EXAMPLE", "not-the-secret"), stack.trusted)


@pytest.fixture(scope="session")
def inbox(stack: Stack) -> Iterator[Inbox]:
    with Inbox(stack) as inbox:
        yield inbox
