"""The gateway that the settings name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from payments.runtime import settings

if TYPE_CHECKING:
    from payments.gateways.port import Gateway

# One line for each gateway: its name in the settings, and the module with its ``create_gateway``. A function imports
# only its own gateway, since the other's package may be missing.
_MODULES = {
    "simulator": "payments.gateways.simulator",
    "stripe": "payments.gateways.stripe.wiring",
}


def chosen(dynamodb: Any) -> Gateway:  # noqa: ANN401 - botocore's
    """Return the gateway; ``dynamodb`` is the function's DynamoDB client, which the simulator keeps its books with."""
    module = import_module(_MODULES[settings.choice("GATEWAY", tuple(_MODULES))])
    gateway: Gateway = module.create_gateway(dynamodb)
    return gateway
