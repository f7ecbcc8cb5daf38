"""Our own Stripe over real HTTP, for the real package: its formats, and its documented behaviour.

It keeps PaymentIntents and refunds, knows the test payment methods, and signs its events. It honours idempotency keys
as Stripe does: a repeat gets the first answer, errors included; other parameters are refused; a key in use is a
conflict; keys expire after a day. For behaviour that Stripe's own test methods do not show, it has methods that start
with ``pm_fake_``; ``fail_next`` breaks the next call of any kind.

``python -m tests.support.stripe_server PORT LISTENER`` serves it alone, and sends its events to the listener that the
JSON file LISTENER names, once that exists: ``url``, ``secret``, ``trusted``. Act as a bank or a customer with
``POST /fake/PAYMENT_INTENT/succeeded``, or ``failed``, ``canceled``, ``disputed``, and ``POST /fake/REFUND/failed``.

It is stricter than Stripe where that finds our mistakes: it refuses a POST without an idempotency key, and a call
without the API version.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import ssl
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

KEY = "sk_test_fake"
KEY_LIFE = 24 * 3600.0
ZERO_DECIMAL = set("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())  # noqa: SIM905
HUNDREDTHS_OF_NOUGHT = {"ISK", "UGX"}
THREE_DECIMAL = {"BHD", "JOD", "KWD", "OMR", "TND"}

# Stripe's test payment methods, and how their cards are declined: the error's code and its decline_code.
DECLINES = {
    "pm_card_visa_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": ("card_declined", "stolen_card"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", None),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", None),
    "pm_card_chargeDeclinedFraudulent": ("card_declined", "fraudulent"),
    "pm_card_authenticationRequired": ("authentication_required", "authentication_required"),
}
SUCCEEDS = {"pm_card_visa", "pm_card_mastercard", "pm_card_amex"}
# A PaymentIntent with one of these statuses is final.
FINAL = frozenset({"succeeded", "canceled"})
FAULTS = ("timeout_after_charge", "timeout_before_charge", "rate_limited", "unavailable")


SEARCH_PAGE = 2


class StripeAnswer(Exception):  # noqa: N818 - an answer, not always an error
    """An answer that ends the processing of a call."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class Silence(Exception):  # noqa: N818 - the absence of an answer
    """No answer, until the caller has hung up."""


def refused(message: str, *, code: str | None = None, param: str | None = None, status: int = 400) -> StripeAnswer:
    error = {"type": "invalid_request_error", "message": message, "code": code, "param": param}
    return StripeAnswer(status, {"error": {name: value for name, value in error.items() if value is not None}})


@dataclass
class Entry:
    """An idempotency key: its first use, the time of that, and the answer, unless the call is still in progress."""

    request: str
    at: float
    answer: tuple[int, dict[str, Any]] | None = None


@dataclass
class Call:
    """A call as it arrived."""

    method: str
    path: str
    params: dict[str, Any]
    headers: dict[str, str]


@dataclass
class FakeStripe:
    """The books, and the server in front of them, as a context manager."""

    key: str = KEY
    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    # The balance's entries, oldest first, each with its charge or refund as the source.
    balance: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    keys: dict[str, Entry] = field(default_factory=dict)
    # The faults of the next calls, one for each: see _break.
    fail_next: list[str] = field(default_factory=list)
    # How long a search does not find a new PaymentIntent, in seconds.
    search_lag: float = 0.0
    # How long a call that gets no answer is kept waiting.
    silence: float = 1.0
    clock_skew: float = 0.0
    # Called with each event.
    told: Callable[[dict[str, Any]], None] | None = None

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._attempts: dict[str, int] = defaultdict(int)
        self._count = 0
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, port: int = 0) -> None:
        """Serve on the loopback address."""
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    def now(self) -> float:
        return time.time() + self.clock_skew

    # For tests: reading the books, and acting as banks and customers.

    def charged(self) -> int:
        """Return the sum of all charges, in Stripe's unit."""
        return sum(intent["amount_received"] for intent in self.intents.values())

    def refunded(self) -> int:
        return sum(refund["amount"] for refund in self.refunds.values() if refund["status"] == "succeeded")

    def finish(self, intent_id: str, status: str, code: str = "card_declined") -> dict[str, Any]:
        """Finish a waiting PaymentIntent, and return the event that reports it."""
        with self._lock:
            intent = self.intents[intent_id]
            if intent["status"] in FINAL:
                raise _unexpected(intent)
            intent["next_action"] = None
            match status:
                case "succeeded":
                    intent |= {"status": status, "amount_received": intent["amount"], "last_payment_error": None}
                    self._book("charge", self._charge_of(intent))
                    return self._event("payment_intent.succeeded", intent)
                case "canceled":
                    intent |= {"status": status, "cancellation_reason": "abandoned"}
                    return self._event("payment_intent.canceled", intent)
                case "failed":
                    intent |= {"status": "requires_payment_method", "last_payment_error": _card_error(code, None)}
                    return self._event("payment_intent.payment_failed", intent)
                case _:
                    # As after a customer chose another card on the page: the error is that of the last card.
                    intent |= {"status": status, "last_payment_error": None}
                    return self._event(f"payment_intent.{status}", intent)

    def finish_refund(self, refund_id: str, status: str, reason: str | None = None) -> dict[str, Any]:
        with self._lock:
            refund = self.refunds[refund_id]
            if (refund["status"], status) == ("succeeded", "failed"):
                # The money is back in the balance, on the day on which that is known.
                self._book("refund_failure", refund)
            refund |= {"status": status, "failure_reason": reason}
            return self._event("refund.failed" if status == "failed" else "refund.updated", refund)

    def dispute(self, intent_id: str, **changes: Any) -> dict[str, Any]:
        """Let a customer dispute a charge, or a bank decide, and return the event that reports it."""
        with self._lock:
            intent = self.intents[intent_id]
            thing = {
                "id": f"du_{intent_id}",
                "object": "dispute",
                "amount": intent["amount"],
                "charge": "ch_x",
                "currency": intent["currency"],
                # The dispute's own metadata, which is empty.
                "metadata": {},
                "payment_intent": intent_id,
                "reason": "fraudulent",
                "status": "needs_response",
            } | changes
            closed = thing["status"] in {"won", "lost", "warning_closed"}
            return self._event(f"charge.dispute.{'closed' if closed else 'created'}", thing)

    # The API.

    def handle(self, call: Call) -> tuple[int, dict[str, Any], bool]:
        """Answer a call: return the status, the body, and whether it is a replay. Raises Silence."""
        if call.path.startswith("/fake/"):
            return 200, self._happen(*call.path.split("/")[2:]), False
        with self._lock:
            self.calls.append(call)
            fault = self.fail_next.pop(0) if self.fail_next else ""
        if call.headers.get("authorization") != f"Bearer {self.key}":
            return 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}, False
        if "stripe-version" not in call.headers:
            return *_parts(refused("the call does not say which version of the API it means")), False
        if fault:
            _break(fault, before=True)
        status, body, replayed = self._idempotent(call, fault)
        if fault:
            _break(fault, before=False)
        return status, body, replayed

    def _happen(self, intent_id: str, what: str) -> dict[str, Any]:
        if intent_id in self.refunds and what in {"succeeded", "failed"}:
            return self.finish_refund(intent_id, what, "expired_or_canceled_card" if what == "failed" else None)
        if intent_id not in self.intents or what not in {"succeeded", "failed", "canceled", "disputed"}:
            raise refused("there is no such PaymentIntent, or that does not happen", status=404)
        return self.dispute(intent_id) if what == "disputed" else self.finish(intent_id, what)

    def _idempotent(self, call: Call, fault: str) -> tuple[int, dict[str, Any], bool]:
        if call.method != "POST":
            return *self._answer(call), False
        key = call.headers.get("idempotency-key")
        if not key or len(key) > 255:
            return *_parts(refused("the call has no idempotency key, or too long a one")), False
        seen = self._seen(key, json.dumps([call.path, call.params], sort_keys=True))
        if seen is not None:
            return seen
        kept = False
        try:
            status, body = self._answer(call)
            if fault == "500":
                status, body = 500, {"error": {"type": "api_error", "message": "Sorry"}}
            # A call that fails validation has not started. One that has started is kept, with any result.
            kept = status not in {400, 404, 429}
        except Silence:
            # The work was done: the next call with the key gets its result.
            kept = self.keys[key].answer is not None
            raise
        else:
            return status, body, False
        finally:
            with self._lock:
                if not kept:
                    del self.keys[key]
                elif self.keys[key].answer is None:
                    self.keys[key].answer = (status, body)

    def _seen(self, key: str, request: str) -> tuple[int, dict[str, Any], bool] | None:
        """Return the answer that earlier calls with this key determine; None for the first call, which proceeds."""
        with self._lock:
            entry = self.keys.get(key)
            if entry is None or self.now() - entry.at >= KEY_LIFE:
                self.keys[key] = Entry(request, self.now())
                return None
            if entry.request != request:
                error = {"type": "idempotency_error", "message": "Keys can only be used with the same parameters"}
                return 400, {"error": error}, False
            if entry.answer is None:
                error = {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": "In use"}
                return 409, {"error": error}, False
            return *entry.answer, True

    def _answer(self, call: Call) -> tuple[int, dict[str, Any]]:
        try:
            return 200, self._do(call)
        except StripeAnswer as answer:
            return answer.status, answer.body

    def _do(self, call: Call) -> dict[str, Any]:
        match call.method, call.path.removeprefix("/v1/").split("/"):
            case "POST", ["payment_intents"]:
                done = self._create_intent(call)
            case "GET", ["payment_intents", "search"]:
                done = self._search(call.params)
            case "GET", ["payment_intents", name]:
                done = self._get(self.intents, "payment_intent", name)
            case "POST", ["payment_intents", name, "cancel"]:
                done = self._cancel(name)
            case "POST", ["refunds"]:
                done = self._create_refund(call)
            case "GET", ["refunds"]:
                done = self._list_refunds(call.params)
            case "GET", ["refunds", name]:
                done = self._get(self.refunds, "refund", name)
            case "GET", ["balance_transactions"]:
                done = self._list_balance(call.params)
            case _:
                raise refused("Unrecognized request URL", status=404)
        return done

    def _create_intent(self, call: Call) -> dict[str, Any]:
        params = call.params
        if params.get("confirm") != "true" or params.get("off_session") != "true":
            raise refused("this fake knows off-session charges that are confirmed at once")
        method = params["payment_method"]
        behaviour = method.removeprefix("pm_fake_") if method.startswith("pm_fake_") else ""
        if method not in SUCCEEDS | DECLINES.keys() | {"pm_usBankAccount"} and not behaviour:
            raise refused(f"No such PaymentMethod: '{method}'", code="resource_missing", param="payment_method")
        if behaviour.startswith("refund_"):
            # It is about the charge's refund.
            behaviour = ""
        amount, currency = self._amount(params)
        self._disturb(behaviour, call, before=True)
        intent = self._new_intent(params, amount, currency)
        self._attempt(intent, method, behaviour)
        self._disturb(behaviour, call, before=False, body=dict(intent))
        return dict(intent)

    def _new_intent(self, params: dict[str, Any], amount: int, currency: str) -> dict[str, Any]:
        with self._lock:
            intent = {
                "id": self._id("pi"),
                "object": "payment_intent",
                "amount": amount,
                "amount_received": 0,
                "cancellation_reason": None,
                "client_secret": f"{self._id('pi')}_secret_x",
                "created": int(self.now()),
                "currency": currency.lower(),
                "customer": params.get("customer"),
                "last_payment_error": None,
                "livemode": False,
                "metadata": dict(params.get("metadata", {})),
                "next_action": None,
                "payment_method": params["payment_method"],
                "status": "requires_confirmation",
            }
            self.intents[intent["id"]] = intent
            return intent

    def _attempt(self, intent: dict[str, Any], method: str, behaviour: str) -> None:
        """Try to charge a payment method, and report the result by an event. Raises StripeAnswer for a decline."""
        if method in DECLINES:
            error = _card_error(*DECLINES[method])
            intent |= {"status": "requires_payment_method", "last_payment_error": error, "payment_method": None}
            answer = StripeAnswer(402, {"error": error | {"payment_intent": dict(intent)}})
            self._event("payment_intent.payment_failed", intent)
            raise answer
        if method == "pm_usBankAccount":
            intent["status"] = "processing"
            self._event("payment_intent.processing", intent)
        elif behaviour == "requires_action":
            intent |= {"status": "requires_action", "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {}}}
            self._event("payment_intent.requires_action", intent)
        elif behaviour == "requires_confirmation":
            pass
        else:
            intent |= {"status": "succeeded", "amount_received": intent["amount"]}
            self._book("charge", self._charge_of(intent))
            self._event("payment_intent.succeeded", intent)

    def _cancel(self, name: str) -> dict[str, Any]:
        """Cancel a PaymentIntent, as https://docs.stripe.com/api/payment_intents/cancel describes.

        One that is final, or processed by the bank, cannot be canceled. The reason of a decline stays in it.
        """
        with self._lock:
            self._get(self.intents, "payment_intent", name)
            intent = self.intents[name]
            if intent["status"] in FINAL | {"processing"}:
                raise _unexpected(intent)
            intent |= {"status": "canceled", "next_action": None}
            self._event("payment_intent.canceled", intent)
            return dict(intent)

    def _create_refund(self, call: Call) -> dict[str, Any]:
        params = call.params
        intent = self._get(self.intents, "payment_intent", params["payment_intent"])
        method = intent["payment_method"] or ""
        behaviour = method.removeprefix("pm_fake_refund_") if method.startswith("pm_fake_refund_") else ""
        amount = self._integer(params)
        self._disturb(behaviour, call, before=True)
        with self._lock:
            of_charge = [refund for refund in self.refunds.values() if refund["payment_intent"] == intent["id"]]
            rest = intent["amount_received"] - sum(r["amount"] for r in of_charge if r["status"] != "failed")
            if rest <= 0:
                raise refused("Charge has already been refunded.", code="charge_already_refunded")
            if amount > rest:
                raise refused("Refund amount is greater than unrefunded amount on charge", param="amount")
            refund = {
                "id": self._id("re"),
                "object": "refund",
                "amount": amount,
                "created": int(self.now()),
                "currency": intent["currency"],
                "failure_reason": None,
                "metadata": dict(params.get("metadata", {})),
                "payment_intent": intent["id"],
                "status": "succeeded",
            }
            if behaviour.startswith("declined_"):
                refund |= {"status": "failed", "failure_reason": behaviour.removeprefix("declined_")}
            elif behaviour == "pending":
                refund["status"] = "pending"
            self.refunds[refund["id"]] = refund
            self._book("refund", refund)
            self._event("refund.created", refund)
            self._event("charge.refunded", {"object": "charge", "id": self._id("ch"), "payment_intent": intent["id"]})
        self._disturb(behaviour, call, before=False, body=dict(refund))
        return dict(refund)

    def _list_refunds(self, params: dict[str, Any]) -> dict[str, Any]:
        found = [refund for refund in self.refunds.values() if refund["payment_intent"] == params["payment_intent"]]
        return _page("/v1/refunds", found, params)

    def _list_balance(self, params: dict[str, Any]) -> dict[str, Any]:
        created = params.get("created", {})
        since, until = int(created.get("gte", 0)), int(created.get("lt", 1 << 40))
        with self._lock:
            found = [entry for entry in self.balance if since <= entry["created"] < until]
        if "data.source" not in params.get("expand", {}).values():
            found = [entry | {"source": entry["source"]["id"]} for entry in found]
        return _page("/v1/balance_transactions", found, params)

    def _charge_of(self, intent: dict[str, Any]) -> dict[str, Any]:
        # A charge copies its PaymentIntent's metadata.
        return {
            "id": self._id("ch"),
            "object": "charge",
            "amount": intent["amount"],
            "created": int(self.now()),
            "currency": intent["currency"],
            "metadata": dict(intent["metadata"]),
            "payment_intent": intent["id"],
            "status": "succeeded",
        }

    def _book(self, kind: str, source: dict[str, Any]) -> None:
        sign = -1 if kind == "refund" else 1
        # Paid out in another currency than the charge's, so the two amounts cannot be compared.
        entry = {
            "id": self._id("txn"),
            "object": "balance_transaction",
            "amount": sign * (source["amount"] * 3 // 2 + 1),
            "created": int(self.now()),
            "currency": "chf",
            "source": source,
            "type": kind,
        }
        self.balance.append(entry)

    def _search(self, params: dict[str, Any]) -> dict[str, Any]:
        query, start = params["query"], int(params.get("page", 0))
        wanted = dict(re.findall(r"metadata\['(\w+)'\]:'([^']*)'", query))
        assert wanted, query
        before = self.now() - self.search_lag
        # An exact match ignores case.
        found = [
            dict(intent)
            for intent in self.intents.values()
            if _lower(wanted).items() <= _lower(intent["metadata"]).items() and intent["created"] <= before
        ]
        # Pages are short here, to catch code that reads only the first.
        end = start + SEARCH_PAGE
        return {
            "object": "search_result", "url": "/v1/payment_intents/search", "has_more": end < len(found),
            "next_page": str(end) if end < len(found) else None, "data": found[start:end],
        }  # fmt: skip

    def _get(self, kept: dict[str, dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
        if name not in kept:
            raise refused(f"No such {kind}: '{name}'", code="resource_missing", param=kind, status=404)
        return dict(kept[name])

    def _integer(self, params: dict[str, Any]) -> int:
        if not re.fullmatch(r"[1-9][0-9]*", params["amount"]):
            raise refused("Invalid integer", code="parameter_invalid_integer", param="amount")
        return int(params["amount"])

    def _amount(self, params: dict[str, Any]) -> tuple[int, str]:
        amount, currency = self._integer(params), params["currency"].upper()
        if params["currency"] != params["currency"].lower() or not re.fullmatch(r"[A-Z]{3}", currency):
            raise refused("Invalid currency", param="currency")
        if currency in HUNDREDTHS_OF_NOUGHT and amount % 100:
            raise refused("evenly divisible", code="invalid_charge_amount_no_decimal_compatible", param="amount")
        if currency in THREE_DECIMAL and amount % 10:
            raise refused("the last digit must be 0", param="amount")
        if amount > 99_999_999_999_999:
            raise refused("Amount must be no more than $999,999.99", code="amount_too_large", param="amount")
        return amount, currency

    def _disturb(self, behaviour: str, call: Call, *, before: bool, body: dict[str, Any] | None = None) -> None:
        """Disturb a call as its payment method demands, once: before or after the work is done."""
        key = call.headers["idempotency-key"]
        if before:
            self._attempts[key] += 1
            first = self._attempts[key] == 1
            if behaviour == "unavailable" or (behaviour == "timeout_before_charge" and first):
                raise Silence
            if behaviour == "rate_limited" and first:
                raise StripeAnswer(
                    429, {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Slow"}}
                )
        elif behaviour == "timeout_after_charge":
            self.keys[key].answer = (200, body or {})
            raise Silence

    def _id(self, kind: str) -> str:
        with self._lock:
            self._count += 1
            return f"{kind}_{self._count:024d}"

    def _event(self, kind: str, thing: dict[str, Any]) -> dict[str, Any]:
        event = {
            "id": self._id("evt"),
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": int(self.now()),
            "data": {"object": dict(thing)},
            "livemode": False,
            "type": kind,
        }
        self.events.append(event)
        if self.told is not None:
            self.told(event)
        return event


def _page(url: str, found: list[dict[str, Any]], params: dict[str, Any]) -> dict[str, Any]:
    """Return a page of a list, newest first like every list; two a page, to catch code that reads only one."""
    newest = found[::-1]
    if "starting_after" in params:
        ids = [entry["id"] for entry in newest]
        newest = newest[ids.index(params["starting_after"]) + 1 :]
    return {"object": "list", "url": url, "has_more": len(newest) > 2, "data": newest[:2]}


def signed(event: dict[str, Any], *secrets: str, at: float | None = None) -> tuple[str, str]:
    """Return an event as Stripe posts it: the body, and the Stripe-Signature header with each secret's signature."""
    body = json.dumps(event, indent=2)
    moment = int(time.time() if at is None else at)
    signatures = [
        hmac.new(secret.encode(), f"{moment}.{body}".encode(), hashlib.sha256).hexdigest() for secret in secrets
    ]
    return body, ",".join([f"t={moment}", *(f"v1={signature}" for signature in signatures), "v0=ignored"])


def _card_error(code: str, decline_code: str | None) -> dict[str, Any]:
    error = {"type": "card_error", "code": code, "decline_code": decline_code, "message": "Your card was declined."}
    return {name: value for name, value in error.items() if value is not None}


def _unexpected(intent: dict[str, Any]) -> StripeAnswer:
    answer = refused("the PaymentIntent has another status", code="payment_intent_unexpected_state")
    answer.body["error"]["payment_intent"] = dict(intent)
    return answer


def _parts(answer: StripeAnswer) -> tuple[int, dict[str, Any]]:
    return answer.status, answer.body


def _break(fault: str, *, before: bool) -> None:
    match fault, before:
        case ("silence_before", True) | ("silence_after", False):
            raise Silence
        case ("reset_before", True) | ("reset_after", False):
            raise ConnectionResetError
        case ("500_before", True):
            raise StripeAnswer(500, {"error": {"type": "api_error", "message": "Sorry"}})
        case ("503_html", True):
            raise StripeAnswer(503, {})
        case ("429", True):
            raise StripeAnswer(
                429, {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Slow"}}
            )


def _nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Read form fields as Stripe does: ``metadata[name]=value`` is a member of metadata."""
    made: dict[str, Any] = {}
    for name, value in pairs:
        outer, *inner = re.findall(r"[^\[\]]+", name)
        if inner:
            made.setdefault(outer, {})[inner[0]] = value
        else:
            made[outer] = value
    return made


def _handler(fake: FakeStripe) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve("")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

        def _serve(self, body: str) -> None:
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(self.command, url.path, _nested(parse_qsl(body or url.query)), headers)
            replayed = False
            try:
                status, answer, replayed = fake.handle(call)
            except StripeAnswer as answered:
                status, answer = _parts(answered)
            except ConnectionResetError:
                self.close_connection = True
                return
            except Silence:
                time.sleep(fake.silence)
                self.close_connection = True
                return
            written = json.dumps(answer).encode() if answer else b"<html>Bad gateway</html>"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(written)))
            self.send_header("Request-Id", "req_fake")
            if replayed:
                self.send_header("Idempotent-Replayed", "true")
            self.end_headers()
            self.wfile.write(written)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


def _lower(metadata: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value.lower() for name, value in metadata.items()}


def _tell(listener: Path, events: SimpleQueue[dict[str, Any]]) -> None:
    """Post each event until it is accepted: at once, then after growing delays, as Stripe does."""
    while True:
        event = events.get()
        for pause in (0.5, 1, 2, 4, 8, 16):
            try:
                to = json.loads(listener.read_text(encoding="utf-8"))
                body, signature = signed(event, to["secret"])
                request = urllib.request.Request(  # noqa: S310 - the listener's own URL
                    to["url"], body.encode(), {"Stripe-Signature": signature, "Content-Type": "application/json"}
                )
                context = ssl.create_default_context(cafile=to["trusted"])
                with urllib.request.urlopen(request, timeout=30, context=context) as answer:  # noqa: S310 - as above
                    sys.stdout.write(f"{event['id']} {event['type']}: {answer.status}\n")
                    break
            except (OSError, ValueError, KeyError) as error:
                sys.stdout.write(f"{event['id']} {event['type']}: {error}\n")
                time.sleep(pause)
        sys.stdout.flush()


def main() -> None:
    """Serve until the process ends."""
    port, listener = int(sys.argv[1]), Path(sys.argv[2])
    events: SimpleQueue[dict[str, Any]] = SimpleQueue()
    FakeStripe(told=events.put).start(port)
    _tell(listener, events)


if __name__ == "__main__":
    main()
