"""The gateway that the settings name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from payments.runtime import settings

if TYPE_CHECKING:
    from payments.gateways.port import Gateway

# One line a gateway: its name in the settings, and the module that has its ``create_gateway``. A function imports only
# the one that it was set up for: the other's package may not be there.
_MODULES = {
    "simulator": "payments.gateways.simulator",
    "stripe": "payments.gateways.stripe.wiring",
}


def chosen(dynamodb: Any) -> Gateway:  # noqa: ANN401 - botocore's
    """Return the gateway; ``dynamodb`` is the function's DynamoDB client, by which the simulator keeps its books."""
    module = import_module(_MODULES[settings.choice("GATEWAY", tuple(_MODULES))])
    gateway: Gateway = module.create_gateway(dynamodb)
    return gateway
