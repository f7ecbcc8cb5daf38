"""The skeleton of a gateway, in one file: of Acme, which does not exist. docs/stripe.md says what to do with it.

It is type-checked and tested (tests/integration/gateways/test_another_gateway.py), so that it stays true.
"""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

from payments.domain.errors import UnavailableError
from payments.gateways.port import Approved, Charge, Declined, NotSent, Outcome, Pending, RateLimited, Refund, Unknown
from payments.runtime import client, settings
from payments.runtime.secrets import Secret

if TYPE_CHECKING:
    from payments.gateways.port import Gateway

_HOST = "api.acme.example"

_SERVER_ERROR = 500


class AcmeGateway:
    """Calls Acme with the API key from a secret. ``seconds`` limits each wait of a call."""

    def __init__(self, key: Secret[str], host: str, seconds: float) -> None:
        self._key = key
        self._host = host
        self._seconds = seconds

    def charge(self, charge: Charge) -> Outcome:
        """Charge once for each key."""
        return self._send("/charges", charge.key, {"source": charge.payment_method, **_fields(charge)})

    def refund(self, refund: Refund) -> Outcome:
        """Refund once for each key."""
        return self._send("/refunds", refund.key, {"charge": refund.charge_reference, **_fields(refund)})

    def lookup(self, request: Charge | Refund) -> Approved | Declined | Pending | None:
        """Return what became of a charge or a refund, found by our name of it. Nothing may be guessed here."""
        kind = "charges" if isinstance(request, Charge) else "refunds"
        try:
            status, body = self._call("GET", f"/{kind}/by-name/{request.key}", None, {})
        except OSError as error:
            raise UnavailableError(type(error).__name__) from error
        if status == http.client.NOT_FOUND:
            return None
        outcome = _outcome(status, body)
        if isinstance(outcome, (Approved, Declined, Pending)):
            return outcome
        raise UnavailableError(f"the gateway answered {status}")

    def _send(self, path: str, key: str, body: dict[str, Any]) -> Outcome:
        try:
            return _outcome(*self._call("POST", path, body, {"Idempotency-Key": key}))
        except (ConnectionRefusedError, UnavailableError) as error:
            # There was no connection, or no API key: the request certainly did not arrive.
            return NotSent(type(error).__name__)
        except (OSError, http.client.HTTPException) as error:
            # The request may have arrived, so this is never a failure.
            return Unknown(type(error).__name__)

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPSConnection(self._host, timeout=self._seconds)
        try:
            headers = {"Authorization": f"Bearer {self._key.read()}", "Content-Type": "application/json", **headers}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, _object(answer.read())
        finally:
            connection.close()


def _fields(request: Charge | Refund) -> dict[str, Any]:
    """Return the fields of every request: exact money, and our names, by which it is found again."""
    return {
        "amount": request.money.minor,
        "currency": request.money.currency,
        "name": request.key,
        "transaction_id": request.transaction_id,
    }


def _object(body: bytes) -> dict[str, Any]:
    try:
        read = json.loads(body)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _outcome(status: int, body: dict[str, Any]) -> Outcome:
    """Return an answer's outcome: Unknown unless the answer leaves no doubt."""
    match status, body:
        case 429, _:
            return RateLimited()
        case _ if status >= _SERVER_ERROR:
            return Unknown(f"the gateway answered {status}")
        case 200 | 201, {"state": "done", "id": str(name)}:
            return Approved(name)
        case 200 | 201, {"state": "waiting", "id": str(name)}:
            return Pending(name)
        case 200 | 201 | 402, {"state": "refused", "reason": str(reason)}:
            return Declined(reason)
        case _:
            return Unknown(f"the gateway answered {status}")


def create_gateway(_: object) -> Gateway:
    """Return the gateway, from the settings. If this type-checks, Acme meets the port.

    The registry passes a DynamoDB client, which only the simulator needs.
    """
    vault, seconds = client.connect("secretsmanager"), settings.count("SECRET_TTL_SECONDS")
    key = Secret(vault, settings.text("SECRET_NAME"), str.strip, seconds)
    return AcmeGateway(key, _HOST, float(settings.count("GATEWAY_TIMEOUT_SECONDS")))
