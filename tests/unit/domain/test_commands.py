"""Checked requests: their fingerprints are stored with payments, so they must never change, byte for byte."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.api.requests import parse_payment, parse_refund
from payments.domain.commands import PaymentRequest, RefundRequest
from payments.domain.errors import InvalidFieldError
from payments.domain.money import Money
from tests.support.aws import REQUEST, payment

# Computed on 2026-11-24 with the code that hashed msgspec's JSON.
PAYMENTS: list[tuple[dict[str, Any], str]] = [
    ({}, "f505d0e1dfb15d719afd7bbe80ace172ee1422fc2996f53222fb38bc4dfa9946"),
    (
        {
            "description": 'Zwei "Bücher" \\ für 日本 \U0001f4b3 / </script>\u2028',
            "metadata": {"z": "1", "a/b": "", "é": '\\"'},
        },
        "721954510472e334afcc94d45d591e202b91a3ef6f742e7d2671f241347dd23b",
    ),
    ({"amount": 1250, "currency": "JPY"}, "4411118741b517bc01801e3d4937fab219337f4446ab1fef83b9d3aa01b3ddfd"),
]
REFUNDS: list[tuple[dict[str, Any], str]] = [
    ({}, "d1b95ac0c48f147b4d059e66285a64c8e11f05fe47acd8121b09e3fd00d7089a"),
    ({"amount": "2.50", "currency": "EUR"}, "2f9ce0086444331111e9d702dc48b20f0baee960e65a1890a18f2fd98e111c1f"),
    (
        {"amount": 2.5, "reason": 'One "came" back — \U0001f4b3\\'},
        "6881494576a3ba49a3e2541e5283339eba4d2988db49b0d0237443047666639b",
    ),
]
# A request has no control characters and no lone surrogates. Control characters would still give the same hash.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(("change", "fingerprint"), PAYMENTS)
def test_the_fingerprint_of_a_payment_stays(change: dict[str, Any], fingerprint: str) -> None:
    request = {"payment_method": "pm_sim_approved"} | change
    assert parse_payment(json.dumps(REQUEST | request).encode(), None, "USD").fingerprint() == fingerprint


@pytest.mark.parametrize(("change", "fingerprint"), REFUNDS)
def test_the_fingerprint_of_a_refund_stays(change: dict[str, Any], fingerprint: str) -> None:
    request = parse_refund(json.dumps({"refund_id": "r1"} | change).encode(), None)
    assert request.fingerprint(payment()) == fingerprint


def sha256(*parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


@given(st.integers(1, 10**12), TEXTS, st.none() | TEXTS, st.none() | st.dictionaries(TEXTS, TEXTS, max_size=5))
def test_a_payments_fingerprint_is_the_hash_of_msgspecs_json(
    minor: int, name: str, description: str | None, metadata: dict[str, str] | None
) -> None:
    request = PaymentRequest(name, name, Money(minor, "EUR"), name, description, metadata)
    members = sorted((metadata or {}).items())
    assert request.fingerprint() == sha256(name, name, minor, "EUR", name, description, members)


@given(TEXTS, st.none() | st.integers(1, 10**6), st.none() | TEXTS)
def test_a_refunds_fingerprint_is_the_hash_of_msgspecs_json(name: str, minor: int | None, reason: str | None) -> None:
    amount = None if minor is None else str(Money(minor, "EUR"))
    request = RefundRequest(name, amount, None, reason)
    assert request.fingerprint(payment()) == sha256("order-1", name, minor, reason)


@pytest.mark.parametrize(
    ("amount", "currency", "field"), [("0.001", None, "amount"), ("0", "EUR", "amount"), ("1", "USD", "currency")]
)
def test_an_amount_of_another_currency_is_an_invalid_field(amount: str, currency: str | None, field: str) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        RefundRequest("r1", amount, currency, None).money(payment())
    assert refused.value.field == field
    assert amount not in refused.value.detail
