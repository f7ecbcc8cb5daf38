"""The gateway that the settings name."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from payments import gateways
from payments.runtime import settings

if TYPE_CHECKING:
    from payments.gateways.port import Gateway

_NO_GATEWAYS = frozenset({"port", "registry"})


def names() -> tuple[str, ...]:
    """Return the names of the gateways: the other modules and folders next to this module."""
    return tuple(sorted(module.name for module in iter_modules(gateways.__path__) if module.name not in _NO_GATEWAYS))


def chosen(dynamodb: Any) -> Gateway:  # noqa: ANN401 - botocore's
    """Return the gateway; ``dynamodb`` is the function's DynamoDB client, in which the simulator keeps its ledger."""
    # A function has only its own gateway: the code and packages of the others may be missing.
    module = import_module(f"{gateways.__name__}.{settings.choice('GATEWAY', names())}")
    gateway: Gateway = module.create_gateway(dynamodb)
    return gateway
