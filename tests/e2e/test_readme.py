"""The README's calls work unchanged. The call with Node is left out, since Node is no prerequisite."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from local import ROOT
from ops.client import Api, Keys
from tests.support.deployed import a_payment

if TYPE_CHECKING:
    from ops.stack import Stack

pytestmark = pytest.mark.e2e

README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("heading", "language", "command", "payment"),
    [
        ("**curl**", "sh", ["bash", "-ec"], "order-1001"),
        ("**Python**", "python", [sys.executable, "-c"], "order-1002"),
    ],
)
def test_a_call_of_the_readme_is_accepted(
    api: Api, heading: str, language: str, command: list[str], payment: str
) -> None:
    found = re.search(rf"^{re.escape(heading)}.*?^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found
    assert api.keys
    assert api.trusted
    environment = {
        "API_URL": api.url,
        "AWS_ACCESS_KEY_ID": api.keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": api.keys.secret_access_key,
        "AWS_REGION": api.region,
        "CURL_CA_BUNDLE": api.trusted,
        "PATH": os.environ["PATH"],
        "REQUESTS_CA_BUNDLE": api.trusted,
    }
    # Under load the first request after the deployment may get a 503; this client repeats it.
    assert api.post(a_payment()).status_code == 202
    called = subprocess.run([*command, found.group(1)], env=environment, check=False, capture_output=True, text=True)
    assert called.returncode == 0, called.stderr
    assert payment in called.stdout
    stored = api.get(payment)
    assert stored.status_code == 200
    assert json.loads(stored.text)["amount"] == "12.50"


def test_the_policy_of_the_readme_allows_its_routes_and_no_other(stack: Stack) -> None:
    found = re.search(r"^ *```json\n(.*?)^ *```", README, re.MULTILINE | re.DOTALL)
    assert found
    arn = stack.stage_arn.removesuffix("/*")
    policy = found.group(1).replace("arn:aws:execute-api:REGION:ACCOUNT_ID:API_ID/STAGE", arn)
    assert policy.count(arn) == 2
    stack.iam.create_user(UserName="shop")
    stack.iam.put_user_policy(UserName="shop", PolicyName="pay", PolicyDocument=policy)
    made = stack.iam.create_access_key(UserName="shop")["AccessKey"]
    shop = Api(stack.api_url, stack.region, Keys(made["AccessKeyId"], made["SecretAccessKey"]), stack.trusted)
    payment = a_payment()
    assert shop.post(payment).status_code == 202
    assert shop.get(payment["transaction_id"]).status_code == 200
    assert shop.refund(payment["transaction_id"], {"refund_id": "1"}).status_code == 403
    assert shop.customers_payments(payment["customer_id"]).status_code == 403
