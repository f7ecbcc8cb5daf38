"""A Stripe that others wrote, in its own process: localstripe has Stripe's formats, but not all of its behaviour."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import requests
from requests.adapters import HTTPAdapter

from local import BUILD, LocalError
from local.server import HOST, free_port
from payments.gateways.stripe.gateway import StripeGateway
from payments.runtime.secrets import Secret
from tests.support.stripe import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON = BUILD / "venv-opinion" / "bin" / "python"
# Its own command would listen on every interface and keep its books on disk.
SERVE = """
import sys
from aiohttp import web
from localstripe.server import app
web.run_app(app, host=sys.argv[1], port=int(sys.argv[2]), print=None)
"""
KEY = "sk_test_opinion"
# A parameter that Stripe has and localstripe refuses, so that no charge would work. It is left out of the requests;
# test_gateway_contract.py checks that it must be.
UNKNOWN_PARAMETERS = "automatic_payment_methods"
# Stripe's published test cards (https://docs.stripe.com/testing): localstripe has no payment methods with fixed names.
CARDS = {"approved": "4242424242424242", "insufficient_funds": "4000000000009995"}


class _Without(HTTPAdapter):
    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if request.method == "POST":
            body = request.body.decode() if isinstance(request.body, bytes) else str(request.body)
            kept = [pair for pair in parse_qsl(body) if not pair[0].startswith(UNKNOWN_PARAMETERS)]
            request.prepare_body(urlencode(kept), None)
        return super().send(request, *args, **kwargs)


class Opinion:
    """The running server, whose books show what was charged."""

    def __init__(self, address: str) -> None:
        self.address = address

    def call(self, method: str, path: str, **data: Any) -> dict[str, Any]:
        answer = requests.request(method, f"{self.address}{path}", data=data, auth=(KEY, ""), timeout=5)
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    def forget(self) -> None:
        self.call("DELETE", "/_config/data")

    def methods(self) -> dict[str, str]:
        def made(number: str) -> str:
            card = {"card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2050", "card[cvc]": "123"}
            return str(self.call("POST", "/v1/payment_methods", type="card", **card)["id"])

        return {behaviour: made(number) for behaviour, number in CARDS.items()}

    def charged(self) -> int:
        charges = self.call("GET", "/v1/charges")["data"]
        return sum(charge["amount"] for charge in charges if charge["status"] == "succeeded")

    def refunded(self) -> int:
        return sum(refund["amount"] for refund in self.call("GET", "/v1/refunds")["data"])

    def gateway(self, *, as_it_is: bool = False) -> StripeGateway:
        gateway = StripeGateway(Secret(Vault(KEY), "s", str.strip, 300), "test", 5, self.address)
        if not as_it_is:
            gateway._http._session.mount("http://", _Without(pool_maxsize=10))  # type: ignore[union-attr]  # noqa: SLF001
        return gateway


@contextmanager
def serving() -> Iterator[Opinion]:
    """Serve it on the loopback address."""
    port = free_port()
    with subprocess.Popen(
        [str(PYTHON), "-c", SERVE, HOST, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            opinion = Opinion(f"http://{HOST}:{port}")
            _wait(opinion, process)
            yield opinion
        finally:
            process.terminate()


def _wait(opinion: Opinion, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        try:
            opinion.forget()
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise LocalError("localstripe did not start. Is it installed? Run: make setup")
