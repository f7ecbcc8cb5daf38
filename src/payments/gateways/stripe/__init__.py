"""The Stripe gateway: everything that only Stripe needs. This module wires it, from a function's settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from payments.runtime import client, settings
from payments.runtime.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from payments.gateways.stripe.gateway import StripeGateway

T = TypeVar("T")


def create_gateway(_: object = None) -> StripeGateway:
    """Return Stripe's gateway. The registry passes a DynamoDB client, which Stripe does not need."""
    from payments.gateways.stripe.gateway import StripeGateway  # noqa: PLC0415 - only functions that charge have its SDK

    seconds = float(settings.count("GATEWAY_TIMEOUT_SECONDS"))
    # The address of a fake Stripe, set only in tests and on a laptop.
    address = os.environ.get("STRIPE_ADDRESS") or None
    return StripeGateway(secret(str.strip), settings.text("ENVIRONMENT"), seconds, address)


def secret(parse: Callable[[str], T]) -> Secret[T]:
    """Return the secret of this function; ``parse`` reads its value."""
    return Secret(
        client.connect("secretsmanager"), settings.text("SECRET_NAME"), parse, settings.count("SECRET_TTL_SECONDS")
    )
