"""The gateway that the settings name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from payments.domain.clock import now
from payments.runtime import client, settings

if TYPE_CHECKING:
    from payments.gateways.port import Gateway
    from payments.gateways.stripe.gateway import StripeGateway


def chosen(dynamodb: Any) -> Gateway:  # noqa: ANN401 - botocore's
    """Return the gateway; ``dynamodb`` is the function's DynamoDB client, by which the simulator keeps its books."""
    if settings.choice("GATEWAY", ("simulator", "stripe")) == "stripe":
        return stripe()
    # Each gateway's code is only where it charges.
    from payments.gateways.simulator import Simulator  # noqa: PLC0415

    return Simulator(dynamodb, settings.text("SIMULATOR_TABLE_NAME"), now)


def stripe() -> StripeGateway:
    """Return Stripe's gateway."""
    # The package is in a layer that only the functions of a stack with this gateway have.
    from payments.gateways.stripe.gateway import StripeGateway  # noqa: PLC0415
    from payments.runtime.secrets import Secret  # noqa: PLC0415

    key = Secret(
        client.connect("secretsmanager"), settings.text("SECRET_NAME"), str.strip, settings.count("SECRET_TTL_SECONDS")
    )
    seconds = float(settings.count("GATEWAY_TIMEOUT_SECONDS"))
    # Set in tests and on a laptop only: a fake Stripe's address.
    address = os.environ.get("STRIPE_ADDRESS") or None
    return StripeGateway(key, settings.text("ENVIRONMENT"), seconds, address)
