"""How long the text checks take: each place that accepts text from outside, with 16 KiB and 256 KiB of the worst."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.offline import api_event, functions, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SMALL, LARGE = 16 * 1024, 256 * 1024
# Each pattern stresses another part of the check: many groups, many separators, many digits, many near-UUIDs, many
# candidates that pass the Luhn check, and characters outside ASCII.
WORST = {
    "single digits": "1 ",
    "hyphens": "1-1-1 - ",
    "fours": "4444 4444 4444 4444 ",
    "digits": "4",
    "dots": "4...",
    "UUIDs": "4242abcd-4242-4242-4242-",
    "cards": "4242424242424242 ",
    "zeros and ones": "0 1 0 0 ",
    "times": "2026-11-23 15:54:12 ",
    "full width": "\uff14\uff0d\uff12\u30fc",
    "invisible": "4\u200b2\ufe0f",
}


# The least number of calls of each place, and the least total time: a short call is easily disturbed.
_CALLS = 3
_ENOUGH_NS = 50_000_000
_CALL = SimpleNamespace(aws_request_id="00000000-0000-0000-0000-000000000000")


class Growth(NamedTuple):
    """How long the check in a place lasts with the small and with the large text, in ms of processor time."""

    small_ms: float
    large_ms: float

    @property
    def ratio(self) -> float:
        """The large text's time as a multiple of the small text's."""
        return self.large_ms / self.small_ms


def text_of(pattern: str, size: int) -> str:
    """Return a text of this many characters."""
    return (pattern * (size // len(pattern) + 1))[:size]


def _body(members: dict[str, Any]) -> str:
    return json.dumps({"transaction_id": "t", "customer_id": "c", "amount": 1, "payment_method": "pm"} | members)


def _repeated(size: int) -> str:
    """Return an object in which only the last two names are the same."""
    members = ",".join(f'"{number:x}":0' for number in range(size // 8))
    return f'{{{members},"a":0,"a":0}}'


def _requests(text: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return an event for each place where a request can carry the text, with the function that receives it."""
    refunds = "/payments/{transaction_id}/refunds"
    one, of_customer = "/payments/{transaction_id}", "/customers/{customer_id}/payments"
    here = {"transaction_id": "order-1", "refund_id": "r", "customer_id": "ada"}

    def post(body: str, **headers: str) -> tuple[str, dict[str, Any]]:
        return "validator", api_event("/payments", body=body, headers=headers)

    def get(resource: str, query: dict[str, str] | None = None, **path: str) -> tuple[str, dict[str, Any]]:
        return "reader", api_event(resource, path=here | path, query=query)

    return {
        "description": post(_body({"description": text})),
        "reason": ("refunder", api_event(refunds, path=here, body=json.dumps({"refund_id": "r", "reason": text}))),
        "amount": post(_body({"amount": text})),
        "payment_method": post(_body({"payment_method": text})),
        "metadata value": post(_body({"metadata": {"note": text}})),
        "metadata name": post(_body({"metadata": {text: "x"}})),
        "field name": post(_body({text: "x"})),
        "repeated names": post(_repeated(len(text))),
        "repeated metadata names": post(_body({})[:-1] + f', "metadata": {_repeated(len(text))}}}'),
        "header": post(_body({}), **{"Idempotency-Key": text}),
        "path": get(one, transaction_id=text),
        "path of a refund": get(f"{refunds}/{{refund_id}}", refund_id=text),
        "path of a customer": get(of_customer, customer_id=text),
        "query, limit": get(of_customer, {"limit": text}),
        "query, next_token": get(of_customer, {"next_token": text}),
    }


@contextmanager
def places() -> Iterator[dict[str, Callable[[str], Callable[[], object]]]]:
    """Wire each place; return, by name, a function that turns a text into the call that checks it."""
    with functions() as wired, silent():
        from payments.domain.cards import has_card, redact  # noqa: PLC0415 - after the environment, as on Lambda
        from payments.runtime.telemetry import logger  # noqa: PLC0415

        def request(place: str) -> Callable[[str], Callable[[], object]]:
            def asked(text: str) -> Callable[[], object]:
                function, event = _requests(text)[place]
                return lambda: wired.modules[function].handler(event, _CALL)

            return asked

        yield {
            "the check": lambda text: lambda: has_card(text),
            "the mask": lambda text: lambda: redact(text),
            "a log line": lambda text: lambda: logger.info(text, extra={"names": {text: text}}),
            **{place: request(place) for place in _requests("")},
        }


def milliseconds(call: Callable[[], object]) -> float:
    """Return the least processor time of several calls, since other work on the machine only adds time."""
    taken: list[int] = []
    while len(taken) < _CALLS or sum(taken) < _ENOUGH_NS:
        started = time.thread_time_ns()
        call()
        taken.append(max(time.thread_time_ns() - started, 1))
    return min(taken) / 1e6


def growth(place: Callable[[str], Callable[[], object]], pattern: str) -> Growth:
    """Measure a place with a pattern that is repeated to each size."""
    return Growth(*(milliseconds(place(text_of(pattern, size))) for size in (SMALL, LARGE)))


def measure() -> dict[str, dict[str, Any]]:
    """Measure every place with every pattern; return the worst result of each place."""
    found: dict[str, dict[str, Any]] = {}
    with places() as wired:
        for name, place in wired.items():
            each = {pattern: growth(place, repeated) for pattern, repeated in WORST.items()}
            worst = max(each, key=lambda pattern: each[pattern].ratio)
            found[name] = each[worst]._asdict() | {"ratio": each[worst].ratio, "text": worst}
    return found
