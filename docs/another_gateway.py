"""A skeleton of a gateway in one file, for an invented company, Acme. docs/stripe.md says how to use it.

It is type-checked and tested (tests/integration/test_another_gateway.py), so it stays correct.
"""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

from payments.domain.errors import UnavailableError
from payments.gateways.port import Approved, Charge, Declined, NotSent, Outcome, Pending, RateLimited, Refund, Unknown

if TYPE_CHECKING:
    from payments.gateways.port import Gateway
    from payments.runtime.secrets import Secret

_SERVER_ERROR = 500


class AcmeGateway:
    """Calls Acme with the API key from a secret. ``seconds`` limits each wait of a call."""

    def __init__(self, key: Secret[str], host: str, seconds: float) -> None:
        self._key = key
        self._host = host
        self._seconds = seconds

    def charge(self, charge: Charge) -> Outcome:
        """Charge once for each key."""
        return self._do("/charges", charge.key, {"source": charge.payment_method, **_named(charge)})

    def refund(self, refund: Refund) -> Outcome:
        """Refund once for each key."""
        return self._do("/refunds", refund.key, {"charge": refund.charge_reference, **_named(refund)})

    def lookup(self, request: Charge | Refund) -> Approved | Declined | Pending | None:
        """Look up a charge or a refund by our reference. Never guess here."""
        kind = "charges" if isinstance(request, Charge) else "refunds"
        try:
            status, body = self._call("GET", f"/{kind}/by-name/{request.key}", None, {})
        except OSError as error:
            raise UnavailableError(type(error).__name__) from error
        if status == http.client.NOT_FOUND:
            return None
        outcome = _read(status, body)
        if isinstance(outcome, (Approved, Declined, Pending)):
            return outcome
        raise UnavailableError(f"the gateway answered {status}")

    def _do(self, path: str, key: str, body: dict[str, Any]) -> Outcome:
        try:
            return _read(*self._call("POST", path, body, {"Idempotency-Key": key}))
        except (ConnectionRefusedError, UnavailableError) as error:
            # There was no connection, or no key to send: the request certainly did not arrive.
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


def _named(request: Charge | Refund) -> dict[str, Any]:
    """Return the fields of every request: the exact amount, and our references to find it by later."""
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


def _read(status: int, body: dict[str, Any]) -> Outcome:
    """Return the outcome in an answer. If it is not certain, it is unknown."""
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


def chosen(key: Secret[str]) -> Gateway:
    """Return the gateway. The type checker verifies here that it implements the port."""
    return AcmeGateway(key, "api.acme.example", 20.0)
