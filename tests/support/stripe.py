"""The Stripe gateway before a fake Stripe."""

from __future__ import annotations

from typing import Any

from payments.secrets import Secret
from payments.stripe_gateway import StripeGateway
from tests.support.stripe_server import KEY, FakeStripe


class Vault:
    """Secrets Manager, as far as a secret is read from it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.reads = 0
        self.error: Exception | None = None

    def get_secret_value(self, **_: Any) -> dict[str, Any]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return {"SecretString": self.text}


def gateway_to(
    fake: FakeStripe, *, scope: str = "test", vault: Vault | None = None, seconds: float = 5.0
) -> StripeGateway:
    secret = Secret(vault or Vault(KEY), "payment-stripe-test", str.strip, 300)
    return StripeGateway(secret, scope, seconds, fake.address)
