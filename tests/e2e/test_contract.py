"""The deployed API against its own OpenAPI document: Schemathesis derives signed requests, valid and invalid."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks as openapi

from local import ROOT
from payments.table.items import from_item
from tests.support.deployed import a_payment, stored

if TYPE_CHECKING:
    from ops.client import Api
    from ops.stack import Stack

pytestmark = pytest.mark.e2e

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text())
# All of Schemathesis' checks but these.
#   positive_data_acceptance: a schema cannot express every rule (decimals by currency, ids of existing payments).
#   unsupported_method: API Gateway answers an unknown method with 403; RFC 9110 would have 405.
#   ignored_auth: the signature is added here, outside the schema; unsigned requests have a separate test.
#   use_after_free, ensure_resource_availability: nothing is deleted; other tests read what was accepted.
CHECKS = [
    not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
    openapi.negative_data_rejection,
]


class Signed(requests.auth.AuthBase):
    """Signs a request unchanged, with the client's keys."""

    def __init__(self, api: Api) -> None:
        assert api.keys is not None
        credentials = Credentials(api.keys.access_key_id, api.keys.secret_access_key)
        self.signer = SigV4Auth(credentials, "execute-api", api.region)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        wanted = AWSRequest(method=request.method, url=request.url, data=request.body, headers={})
        self.signer.add_auth(wanted)
        request.headers.update(dict(wanted.headers.items()))
        return request


# The signature is not for the schema to vary.
SCHEMA = schemathesis.openapi.from_dict({name: part for name, part in DOCUMENT.items() if name != "security"})
PATIENCE = 5
OPERATIONS = [(path, method.upper()) for path, methods in DOCUMENT["paths"].items() for method in methods]


def named(case: Any) -> list[str]:
    """Return the payments that a request names, if the names could be ids."""
    body = case.body if isinstance(case.body, dict) else {}
    names = [(case.path_parameters or {}).get("transaction_id"), body.get("transaction_id")]
    return [name for name in names if isinstance(name, str) and 0 < len(name) < 1000 and name.isascii()]


def asked_for(stack: Stack, transaction_id: str) -> tuple[object, ...] | None:
    """Return the parts of a payment that clients' requests write. The rest changes as the payment is processed."""
    item = stored(stack, transaction_id)
    if item is None:
        return None
    payment = from_item(item)
    asked = (payment.customer_id, payment.money, payment.payment_method, payment.description, payment.metadata)
    refunds = {name: (refund.amount_minor, refund.fingerprint) for name, refund in payment.refunds.items()}
    return *asked, payment.fingerprint, payment.created_at, refunds


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_the_api_does_as_its_document_says(
    api: Api, stack: Stack, path: str, method: str, mode: GenerationMode
) -> None:
    signed = Signed(api)

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=SCHEMA[path][method].as_strategy(generation_mode=mode))
    def holds(case: Any) -> None:
        before = {name: asked_for(stack, name) for name in named(case)}
        for _ in range(PATIENCE):
            response = case.call(base_url=api.url, auth=signed, verify=stack.trusted)
            # As the contract says: repeat a request that got 503. Any other server error is a failure.
            if response.status_code != 503:
                break
        # The embedded AWS refuses some paths in its own format, since it cannot compute their signature. The format of
        # our own refusals has tests in test_pipeline.py.
        checks = [openapi.status_code_conformance] if response.status_code == 403 else CHECKS
        case.validate_response(response, checks=checks)
        if response.status_code >= 400:
            assert {name: asked_for(stack, name) for name in before} == before, "a refused request changed data"

    holds()


def test_the_document_is_valid_openapi() -> None:
    from openapi_spec_validator import validate  # noqa: PLC0415 - it takes its time

    validate(DOCUMENT)


def test_the_example_of_the_document_is_accepted(api: Api) -> None:
    (example,) = DOCUMENT["components"]["schemas"]["PaymentRequest"]["examples"]
    assert api.post(example | {"transaction_id": a_payment()["transaction_id"]}).status_code == 202
