"""The gateway that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments import settings
from payments.model import now
from payments.simulator import Simulator

if TYPE_CHECKING:
    from payments.gateway import Gateway


def chosen(client: Any) -> Gateway:  # noqa: ANN401 - botocore's
    """Return the gateway; ``client`` is the function's DynamoDB client, by which the simulator keeps its books."""
    settings.choice("GATEWAY", ("simulator",))
    return Simulator(client, settings.text("SIMULATOR_TABLE_NAME"), now)
