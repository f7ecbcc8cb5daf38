"""The clients: they post payments and refunds, and retry failed requests as the contract says."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import requests

from chaos.audit import CHARGED, Posted, PostedRefund, Reply
from payments.domain.currencies import EXPONENTS
from payments.domain.money import Money

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.client import Api

CLIENTS = 8
_PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 0.2
_ACCEPTED = 202
_SERVER_ERROR = 500
_TOO_MANY = 429
# The payment methods that clients use: mostly ones that work, plus every behaviour of the simulator except no answer.
_METHODS = [
    *["pm_sim_approved"] * 12,
    *["pm_sim_declined_insufficient_funds"] * 2,
    "pm_sim_timeout_after_charge",
    "pm_sim_timeout_before_charge",
    "pm_sim_rate_limited",
    "pm_sim_refund_timeout_after_charge",
    "pm_sim_refund_declined_expired_card",
]
_CURRENCIES = ["EUR", "USD", "JPY", "KWD", "CLF"]


class Load:
    """Clients whose requests follow from the seed, and who remember each request and its answer."""

    def __init__(self, api: Api, seed: int, run: str) -> None:
        self._api = api
        self._chance = random.Random(seed)  # noqa: S311 - it is to be repeated, not to be secret
        self._run = run
        self._lock = threading.Lock()
        self.posted: list[Posted] = []
        self.counts: Counter[str] = Counter()

    def post(self, payments: int, on_posted: Callable[[int], None]) -> None:
        """Post this many payments; call ``on_posted`` after each."""
        requests_ = [self._request(number) for number in range(payments)]
        again = [self._chance.random() < 0.1 for _ in requests_]  # noqa: PLR2004 - one in ten asks twice

        def one(number: int) -> None:
            body, posted = requests_[number]
            answer = self._until_answered("/payments", body)
            posted.answer = _reply(answer)
            if again[number] and answer is not None and posted.answer is Reply.ACCEPTED:
                repeated = self._until_answered("/payments", body)
                posted.answered_otherwise = repeated is not None and repeated.text != answer.text
            on_posted(1)

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(one, range(payments)))

    def refund(self, share: float, on_posted: Callable[[int], None]) -> None:
        """Refund parts of this share of the payments, once or twice each, as soon as each is charged."""
        chosen = [posted for posted in self.posted if posted.answer is Reply.ACCEPTED and self._chance.random() < share]
        parts = [self._chance.choice([[1], [2], [2, 2], [3, 3, 3]]) for _ in chosen]

        def one(number: int) -> None:
            posted = chosen[number]
            if self._status(posted.transaction_id) in CHARGED:
                for place, part in enumerate(parts[number]):
                    self._refund(posted, f"r{place}", max(posted.amount_minor // part, 1))
            on_posted(1)

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(one, range(len(chosen))))

    def _request(self, number: int) -> tuple[dict[str, Any], Posted]:
        money = Money(self._chance.randint(3, 10**6), self._chance.choice(_CURRENCIES))
        posted = Posted(f"{self._run}-{number}", money.minor, money.currency, EXPONENTS[money.currency])
        self.posted.append(posted)
        # Exact both as a decimal string and as a number.
        amount: Any = str(money) if number % 2 or EXPONENTS[money.currency] else int(Decimal(str(money)))
        body = {
            "transaction_id": posted.transaction_id,
            "customer_id": f"{self._run}-customer-{self._chance.randint(0, 20)}",
            "amount": amount,
            "currency": money.currency,
            "payment_method": self._chance.choice(_METHODS),
        }
        return body, posted

    def _refund(self, posted: Posted, refund_id: str, amount: int) -> None:
        body = {"refund_id": refund_id, "amount": str(Money(amount, posted.currency))}
        refund = posted.refunds[refund_id] = PostedRefund(amount)
        refund.answer = _reply(self._until_answered(f"/payments/{posted.transaction_id}/refunds", body))

    def _status(self, transaction_id: str) -> str:
        deadline = time.monotonic() + 30
        status = ""
        while time.monotonic() < deadline and status not in {*CHARGED, "failed"}:
            with suppress(requests.RequestException):
                answer = self._api.get(transaction_id)
                status = answer.json().get("status", "") if answer.ok else ""
            time.sleep(_PAUSE_SECONDS)
        return str(status)

    def _until_answered(self, path: str, body: dict[str, Any]) -> requests.Response | None:
        """Repeat a request until it is accepted or finally refused; None if it takes too long."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = self._api.request("POST", path, json.dumps(body))
            except requests.RequestException:
                self._count("client calls without an answer")
                time.sleep(_PAUSE_SECONDS)
                continue
            if answer.status_code < _SERVER_ERROR and answer.status_code != _TOO_MANY:
                if answer.status_code != _ACCEPTED:
                    self._count(f"client answers {answer.status_code}")
                return answer
            self._count(f"client answers {answer.status_code}")
            time.sleep(min(float(answer.headers.get("Retry-After", "1")), 2))
        return None

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1


def _reply(answer: requests.Response | None) -> Reply:
    if answer is None:
        return Reply.NONE
    return Reply.ACCEPTED if answer.status_code == _ACCEPTED else Reply.REFUSED
