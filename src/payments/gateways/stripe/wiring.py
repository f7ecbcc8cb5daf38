"""Wires Stripe for a function, from the settings: its secrets, its time-out, its address."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from payments.gateways.stripe.events import signing_secrets
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
    return StripeGateway(_secret(str.strip), settings.text("ENVIRONMENT"), seconds, address)


def webhook_secrets() -> Secret[list[str]]:
    """Return the secrets with which Stripe signs its events."""
    return _secret(signing_secrets)


def _secret(parse: Callable[[str], T]) -> Secret[T]:
    return Secret(
        client.connect("secretsmanager"), settings.text("SECRET_NAME"), parse, settings.count("SECRET_TTL_SECONDS")
    )
