"""Stripe, through its official package: the one module that imports it.

Each call carries our idempotency key, names the payment in its metadata, is made once, and has a time limit. Stripe's
answers are read by their documented meaning; an unclear answer is unknown, and never a failure. Stripe's messages about
a request stay out of our logs and errors, since they may repeat its content: codes and request ids are enough.

A decline is final: the declined PaymentIntent is canceled. Otherwise the customer, whose page may still show the card
form, could pay with it after all. A cancellation has no key of ours, since it is safe to repeat, and Stripe would keep
an error under the key for a day.

A charge is made off-session with a payment method that was set up before: ``pm_…``, or ``cus_…-pm_…`` if it belongs
to a customer at Stripe.
"""

from __future__ import annotations

import http.cookiejar
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
import requests
import stripe
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from payments.domain.errors import UnavailableError
from payments.gateways.port import (
    Approved,
    Booked,
    Charge,
    Declined,
    NoSuchReferenceError,
    NotSent,
    Outcome,
    Pending,
    RateLimited,
    Refund,
    Unknown,
    metadata_of,
)
from payments.gateways.stripe.money import AmountError, from_stripe, to_stripe
from payments.gateways.stripe.outcomes import (
    Intent,
    RefundObject,
    card_decline,
    charge_outcome,
    refund_outcome,
    refusal_of,
    stable_code,
)
from payments.runtime.calls import CONCURRENCY
from payments.runtime.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from payments.runtime.secrets import Secret


T = TypeVar("T")

# The version that this module was written for, which may differ from the account's default.
API_VERSION = "2026-10-28.endive"

CONNECT_SECONDS = 2.0

# The reasons of refusals that no retry changes. Any other refusal is a fault of our set-up, not of the payment.
_FINAL_PARAMETERS = frozenset({"amount", "charge", "currency", "customer", "payment_intent", "payment_method"})

_FINAL_CODES = frozenset(
    {
        "amount_too_large",
        "amount_too_small",
        "charge_already_refunded",
        "charge_disputed",
        "invalid_charge_amount",
        "invalid_charge_amount_no_decimal_compatible",
        "payment_intent_unexpected_state",
        "payment_method_customer_decline",
        "payment_method_invalid_parameter",
        "payment_method_microdeposit_failed",
        "payment_method_not_available",
        "payment_method_provider_decline",
        "payment_method_unactivated",
        "payment_method_unexpected_state",
        "payment_method_unsupported_type",
        "refund_disputed_payment",
        "resource_missing",
    }
)

# The reason given for canceling a PaymentIntent that could charge a payment a second time.
_SECOND_CHARGE = Declined("duplicate")

_AT_THE_BANK = "processing"

# The outcomes of a payment's PaymentIntents, by their ids.
_Outcomes = dict[str, Approved | Declined | Pending]

_CONFLICT = 409

_MISSING = 404

# The entries of Stripe's books that concern payments: fees, payouts and disputes are not compared.
# A refund that fails after it succeeded has a second entry, on the day on which it failed.
_BOOKED_REFUNDS = frozenset({"refund", "payment_refund", "refund_failure"})

_BOOKED = _BOOKED_REFUNDS | {"charge", "payment"}


def _mute() -> None:
    """Keep the package's own log lines out of our log: they repeat Stripe's messages."""
    package = logging.getLogger("stripe")
    package.propagate = False
    package.addHandler(logging.NullHandler())
    # Requests carry no statistics about our calls and no description of the machine.
    stripe.enable_telemetry = False


def _session() -> requests.Session:
    """Return a session that all threads share and that outlives a batch: a handshake costs more than a call."""
    session = requests.Session()
    # No .netrc and no proxy from the environment: the key goes to Stripe and nowhere else.
    session.trust_env = False
    session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_maxsize=CONCURRENCY, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class StripeGateway:
    """Stripe behind a secret that holds its API key.

    ``scope`` distinguishes stacks that share an account at Stripe; ``seconds`` is how long to wait for an answer;
    ``address`` is Stripe's own unless a test sets that of a fake Stripe.
    """

    def __init__(self, key: Secret[str], scope: str, seconds: float, address: str | None = None) -> None:
        _mute()
        self._key = key
        self._scope = scope
        self._address = address
        self._http = stripe.RequestsClient(timeout=(CONNECT_SECONDS, seconds), session=_session())
        self._clients: dict[str, stripe.StripeClient] = {}

    def charge(self, charge: Charge) -> Outcome:
        """Create a PaymentIntent and confirm it, in one call."""
        try:
            amount = to_stripe(charge.money)
        except AmountError as error:
            return Declined(error.code)
        customer, _, method = charge.payment_method.rpartition("-")
        params: dict[str, Any] = {
            "amount": amount,
            "currency": charge.money.currency.lower(),
            "payment_method": method,
            "confirm": True,
            "off_session": True,
            # No customer is present to be redirected.
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": metadata_of(charge, self._scope),
        }
        if customer:
            params["customer"] = customer
        return self._send(lambda client: self._create(client, params, charge.key))

    def refund(self, refund: Refund) -> Outcome:
        """Refund a PaymentIntent's charge, in part or in full."""
        try:
            amount = to_stripe(refund.money)
        except AmountError as error:
            return Declined(error.code)
        params: dict[str, Any] = {
            "payment_intent": refund.charge_reference,
            "amount": amount,
            "metadata": metadata_of(refund, self._scope),
        }
        return self._send(
            lambda client: refund_outcome(
                _read(client.v1.refunds.create(cast("Any", params), options=self._options(refund.key)), RefundObject)
            )
        )

    def lookup(self, request: Charge | Refund) -> Approved | Declined | Pending | None:
        """Return the outcome of a charge or a refund, found by its id if we have it, and otherwise by our metadata.

        A failed charge is canceled, and so is every PaymentIntent that could charge a second time.
        Raises UnavailableError if Stripe does not answer, or has found something other than the request;
        NoSuchReferenceError if it does not know its own id.
        """
        return self._ask(request, cancel=True)

    def read(self, request: Charge | Refund) -> Approved | Declined | Pending | None:
        """Return what ``lookup`` returns, but cancel nothing: a failed charge is pending."""
        return self._ask(request, cancel=False)

    def _ask(self, request: Charge | Refund, *, cancel: bool) -> Approved | Declined | Pending | None:
        with self._answered() as client:
            if isinstance(request, Refund):
                return self._find_refund(client, request)
            intents = self._find_intents(client, request)
            if cancel:
                return _foremost(self._final(client, request, intents).values())
            return _foremost(charge_outcome(intent) for intent in intents)

    def abandon(self, charge: Charge, *, cancel: bool) -> list[Approved | Declined | Pending]:
        """Return the outcome of each PaymentIntent of a failed payment; ``cancel`` those that can still be paid.

        Raises UnavailableError as ``lookup`` does.
        """
        refusal = Declined("canceled")
        with self._answered() as client:
            intents = self._find_intents(client, charge, beside_a_success=True)
            outcomes = [(intent.id, charge_outcome(intent)) for intent in intents]
            return [
                self._cancel(client, name, refusal) if cancel and isinstance(outcome, Pending) else outcome
                for name, outcome in outcomes
            ]

    @contextmanager
    def _answered(self) -> Iterator[stripe.StripeClient]:
        """Turn Stripe's errors into UnavailableError, or NoSuchReferenceError."""
        try:
            yield self._client()
        except stripe.StripeError as error:
            self._heed(error)
            if isinstance(error, stripe.InvalidRequestError) and error.http_status == _MISSING:
                raise NoSuchReferenceError(_reason(error)) from None
            raise UnavailableError(_reason(error)) from None

    def booked(self, since: datetime, until: datetime) -> Iterator[Booked]:
        """Yield the charges and refunds in Stripe's books for a period, newest first.

        Raises UnavailableError if Stripe does not answer.
        """
        try:
            listed = self._client().v1.balance_transactions.list(
                {
                    "created": {"gte": int(since.timestamp()), "lt": int(until.timestamp())},
                    "limit": 100,
                    # The charge itself, since the entry is in the currency of the payout.
                    "expand": ["data.source"],
                }
            )
            for entry in listed.auto_paging_iter():
                found = entry.to_dict()
                if found.get("type") in _BOOKED and isinstance(found.get("source"), dict):
                    yield _booked(found["source"], found.get("type") in _BOOKED_REFUNDS)
        except stripe.StripeError as error:
            self._heed(error)
            raise UnavailableError(_reason(error)) from None

    def _create(self, client: stripe.StripeClient, params: dict[str, Any], key: str) -> Outcome:
        try:
            created = client.v1.payment_intents.create(cast("Any", params), options=self._options(key))
            return charge_outcome(_read(created, Intent))
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            refusal, name = _failed(error), _intent_of(error)
            if not isinstance(refusal, Declined) or (name is None and isinstance(error, stripe.InvalidRequestError)):
                return refusal
            if name is None:
                # A card was tried, so there is a PaymentIntent: a lookup will find it by its metadata.
                return Unknown(_reason(error))
        try:
            return self._cancel(client, name, refusal)
        except stripe.StripeError as error:
            self._heed(error)
            # The cancellation was not confirmed, so the charge may still be made.
            return Unknown(_reason(error))

    def _final(self, client: stripe.StripeClient, charge: Charge, intents: list[Intent]) -> _Outcomes:
        """Return the outcomes of a payment's PaymentIntents, after canceling those that must no longer charge.

        At most one may still charge, and none once another has: that would be a second charge.
        """
        refusals = [refusal_of(intent) for intent in intents]
        outcomes: _Outcomes = {
            intent.id: charge_outcome(intent) if refusal is None else self._cancel(client, intent.id, refusal)
            for intent, refusal in zip(intents, refusals, strict=True)
        }
        if not _charged(outcomes):
            # Stripe cancels none that is with a bank. The payment's name for the other one may be known to a customer.
            open_ones = [intent for intent in intents if isinstance(outcomes[intent.id], Pending)]
            open_ones.sort(key=lambda intent: (intent.status != _AT_THE_BANK, intent.id != charge.reference))
            outcomes |= self._cancel_all(client, [intent.id for intent in open_ones[1:]])
        if _charged(outcomes):
            waiting = [name for name, outcome in outcomes.items() if isinstance(outcome, Pending)]
            outcomes |= self._cancel_all(client, waiting)
        return outcomes

    def _cancel_all(self, client: stripe.StripeClient, names: list[str]) -> _Outcomes:
        return {name: self._cancel(client, name, _SECOND_CHARGE) for name in names}

    def _cancel(self, client: stripe.StripeClient, name: str, refusal: Declined) -> Approved | Declined | Pending:
        """Cancel a refused PaymentIntent, and return its outcome.

        It may have been charged or canceled meanwhile, or be at a bank: Stripe then refuses to cancel it.
        """
        try:
            answer = client.v1.payment_intents.cancel(name)
        except stripe.InvalidRequestError:
            answer = client.v1.payment_intents.retrieve(name)
        outcome = charge_outcome(_read(answer, Intent))
        return refusal if isinstance(outcome, Declined) else outcome

    def _find_intents(
        self, client: stripe.StripeClient, charge: Charge, *, beside_a_success: bool = False
    ) -> list[Intent]:
        """Return a payment's PaymentIntents: the one that it names, and those that a search finds by our metadata.

        The one that it names is enough once it has charged, unless ``beside_a_success`` wants the others too. Otherwise
        another may have charged: one that no search found in time, before a second one was created
        (docs/decisions/0043).
        """
        intents: dict[str, Intent] = {}
        if charge.reference is not None:
            named = _read(client.v1.payment_intents.retrieve(charge.reference), Intent)
            intents[named.id] = named
        if beside_a_success or not any(isinstance(charge_outcome(intent), Approved) for intent in intents.values()):
            intents = {intent.id: intent for intent in self._search_intents(client, charge)} | intents
        for intent in intents.values():
            self._match(intent, charge)
        return list(intents.values())

    def _search_intents(self, client: stripe.StripeClient, charge: Charge) -> list[Intent]:
        ours = metadata_of(charge, self._scope)
        query = " AND ".join(f"metadata['{name}']:'{value}'" for name, value in ours.items())
        try:
            found = client.v1.payment_intents.search({"query": query, "limit": 100})
            intents = [_read(one, Intent) for one in found.auto_paging_iter()]
        except stripe.InvalidRequestError as error:
            if charge.reference is None:
                raise
            # Some accounts have no search. The PaymentIntent that the payment names is known anyway.
            logger.warning("no search", transaction_id=charge.transaction_id, reason=_reason(error))
            return []
        # Stripe's search does not distinguish order-1 from Order-1, but we do.
        return [intent for intent in intents if ours.items() <= (intent.metadata or {}).items()]

    def _find_refund(self, client: stripe.StripeClient, refund: Refund) -> Approved | Declined | Pending | None:
        ours = metadata_of(refund, self._scope)
        if refund.reference is not None:
            refunds = [_read(client.v1.refunds.retrieve(refund.reference), RefundObject)]
        else:
            listed = client.v1.refunds.list({"payment_intent": refund.charge_reference, "limit": 100})
            found = (_read(one, RefundObject) for one in listed.auto_paging_iter())
            refunds = [one for one in found if ours.items() <= (one.metadata or {}).items()]
        for one in refunds:
            self._match(one, refund)
        return _foremost(refund_outcome(one) for one in refunds)

    def _options(self, key: str) -> stripe.RequestOptions:
        # All stacks that share an account share one space of keys.
        return {"idempotency_key": f"{self._scope}.{key}"}

    def _match(self, found: Intent | RefundObject, request: Charge | Refund) -> None:
        """Raise UnavailableError if Stripe has found another amount than ours, which must not count as our payment."""
        try:
            expected = (to_stripe(request.money), request.money.currency.lower())
        except AmountError:
            expected = (0, "")
        if (found.amount, found.currency) != expected:
            logger.error("the gateway holds another amount", transaction_id=request.transaction_id, found=found.id)
            raise UnavailableError("the gateway holds another amount under this id")

    def _client(self) -> stripe.StripeClient:
        key = self._key.read()
        if key not in self._clients:
            self._clients = {
                key: stripe.StripeClient(
                    key,
                    stripe_version=API_VERSION,
                    # The message is retried with the same key: a second attempt here could take longer than it may.
                    max_network_retries=0,
                    http_client=self._http,
                    base_addresses={"api": self._address} if self._address else None,
                )
            }
        return self._clients[key]

    def _send(self, call: Callable[[stripe.StripeClient], Outcome]) -> Outcome:
        client = self._key_or_nothing()
        if isinstance(client, NotSent):
            return client
        try:
            return call(client)
        except stripe.StripeError as error:
            self._heed(error)
            return _failed(error)

    def _key_or_nothing(self) -> stripe.StripeClient | NotSent:
        try:
            return self._client()
        except UnavailableError as error:
            return NotSent(str(error))

    def _heed(self, error: stripe.StripeError) -> None:
        if isinstance(error, stripe.AuthenticationError):
            # The key may have been rolled: the next call reads the new one.
            logger.error("the gateway refuses the API key", request_id=error.request_id)
            self._key.forget()


def _read(answer: stripe.StripeObject, kind: type[T]) -> T:
    """Read a Stripe object; raises UnavailableError if it is not of this kind."""
    try:
        return msgspec.convert(answer.to_dict(), kind)
    except msgspec.ValidationError as error:
        raise UnavailableError(f"the gateway's answer is not a valid {kind.__name__}") from error


def _foremost(outcomes: Iterable[Approved | Declined | Pending]) -> Approved | Declined | Pending | None:
    """Return the outcome that counts if there are several: one that moved money, then one that still may."""
    found = {type(outcome): outcome for outcome in outcomes}
    return found.get(Approved) or found.get(Pending) or found.get(Declined)


def _charged(outcomes: _Outcomes) -> bool:
    return any(isinstance(outcome, Approved) for outcome in outcomes.values())


def _intent_of(error: stripe.StripeError) -> str | None:
    """Return the id of the PaymentIntent that an error names, if any."""
    intent = error.error.to_dict().get("payment_intent") if error.error else None
    return str(intent["id"]) if intent else None


def _booked(source: dict[str, Any], refund: bool) -> Booked:  # noqa: FBT001 - the kind of the entry
    try:
        money = from_stripe(int(source["amount"]), str(source["currency"]))
    except AmountError:
        money = None
    charge = str(source.get("payment_intent") or source.get("charge") or source["id"])
    return Booked(
        refund=refund,
        reference=str(source["id"]) if refund else charge,
        charge_reference=charge,
        metadata={str(name): str(value) for name, value in (source.get("metadata") or {}).items()},
        money=money,
        status=stable_code(source.get("status"), "unknown"),
        created=int(source["created"]),
    )


def _failed(error: stripe.StripeError) -> Outcome:
    """Return the outcome of a call that raised this error; an uncertain outcome is unknown."""
    match error:
        case stripe.CardError():
            return card_decline(error.code, error.error.to_dict().get("decline_code") if error.error else None)
        case stripe.RateLimitError():
            return RateLimited()
        case stripe.APIConnectionError() if _not_sent(error):
            return NotSent(_reason(error))
        case stripe.InvalidRequestError() if error.http_status != _CONFLICT and _is_final(error):
            return Declined(stable_code(error.code, f"invalid_{error.param}"))
        case _:
            # Also 409: the first call with this key is in progress; and 400: the key was used for another call.
            return Unknown(_reason(error))


def _is_final(error: stripe.InvalidRequestError) -> bool:
    return error.code in _FINAL_CODES or error.param in _FINAL_PARAMETERS


def _not_sent(error: stripe.APIConnectionError) -> bool:
    """Return whether there was no connection to send the request on. A reset or a time-out is another case."""
    cause: BaseException | None = error.__cause__
    if isinstance(cause, requests.exceptions.ConnectTimeout):
        return True
    reason = (
        getattr(cause.args[0], "reason", None) if isinstance(cause, requests.ConnectionError) and cause.args else None
    )
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _reason(error: stripe.StripeError) -> str:
    """Describe an error without Stripe's message about the request."""
    parts = [type(error).__name__, error.http_status, stable_code(error.code, ""), stable_code(error.request_id, "")]
    return " ".join(str(part) for part in parts if part)
