"""A separate stack for options that are off by default, removed after its tests: webhooks, and a fake Stripe.

One stack for both, since a deployment takes over a minute. Its endpoints fail, wait and refuse on purpose, which would
disturb the timings of other tests.
"""

from __future__ import annotations

import json
import ssl
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from local.server import EmbeddedAWS
from local.tls import CERTIFICATE, KEY, make_certificate
from ops import running
from ops.client import Api, create_client
from ops.display import Step
from ops.fake_stripe import put_secrets
from ops.inbox import Inbox
from tests.support.checkout import copy_of_root
from tests.support.deployed import SECRET_TTL_SECONDS, STRIPE_SECRET
from tests.support.receiver import Receiver
from tests.support.stripe_server import KEY as STRIPE_KEY
from tests.support.stripe_server import FakeStripe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.stack import Stack

# The webhook endpoints. Their delays are short, so that a test can wait for every retry.
WEBHOOKS: dict[str, dict[str, Any]] = {
    "shop": {"retry_delays_seconds": [2, 4, 6]},
    "refusals": {"retry_delays_seconds": [1, 1], "events": ["payment.failed"]},
    "slow": {"retry_delays_seconds": [1, 3]},
}


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def stripe() -> Iterator[FakeStripe]:
    # A call without an answer takes longer than the processor waits: two thirds of its five seconds.
    with FakeStripe(silence=6) as fake:
        yield fake


@pytest.fixture(scope="package")
def stack(
    tmp_path_factory: pytest.TempPathFactory, receivers: dict[str, Receiver], stripe: FakeStripe
) -> Iterator[Stack]:
    place = running.Place(tmp_path_factory.mktemp("options"))
    with EmbeddedAWS(place.folder) as embedded:
        terraform = running.terraform(place, embedded.url)
        terraform.root = copy_of_root(place.folder / "root")
        webhooks = {
            name: spec | {"url": f"https://localhost:{receivers[name].port}/{name}", "timeout_seconds": 3}
            for name, spec in WEBHOOKS.items()
        }
        terraform.environment = {
            **terraform.environment,
            "TF_VAR_webhooks": json.dumps(webhooks),
            "TF_VAR_webhook_secret_ttl_seconds": str(SECRET_TTL_SECONDS),
            "TF_VAR_allowed_private_cidrs": json.dumps(["127.0.0.0/8", "::1/128"]),
            "TF_VAR_gateway": "stripe",
            "TF_VAR_stripe_address": stripe.address,
        }
        stack = running.deploy(terraform, embedded.url, Step("Deploying"))
        put_secrets(stack, STRIPE_KEY, STRIPE_SECRET)
        time.sleep(SECRET_TTL_SECONDS)
        yield stack


@pytest.fixture(scope="package")
def api(stack: Stack) -> Api:
    return Api(stack.api_url, stack.region, create_client(stack), stack.trusted)


@pytest.fixture(scope="package")
def inbox(stack: Stack) -> Iterator[Inbox]:
    with Inbox(stack) as inbox:
        yield inbox
