"""A client of the payments API: an IAM user that may only call it, its signed requests, and their answers."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ops.stack import Stack

USER = "payments-client"
_TIMEOUT_SECONDS = 30
_UNAVAILABLE = 503
_PAUSE_SECONDS = 1
_FORBIDDEN = 403
# The statuses of an API that is busy. It may have done the work anyway.
BUSY = {429, 503}


@dataclass(frozen=True)
class Keys:
    """A client's access keys."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


def create_client(stack: Stack, kept: Keys | None = None) -> Keys:
    """Create the client's user, or find it, and return its keys: the kept ones if they are still valid."""
    iam = stack.iam
    try:
        iam.create_user(UserName=USER)
    except iam.exceptions.EntityAlreadyExistsException:
        keys = iam.list_access_keys(UserName=USER)["AccessKeyMetadata"]
    else:
        keys = []
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": stack.stage_arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=USER, PolicyName="call-the-payments-api", PolicyDocument=policy)
    if kept and kept.access_key_id in {key["AccessKeyId"] for key in keys}:
        return kept
    # A secret cannot be read again, and a user has two keys at most.
    for key in keys:
        iam.delete_access_key(UserName=USER, AccessKeyId=key["AccessKeyId"])
    created = iam.create_access_key(UserName=USER)["AccessKey"]
    return Keys(created["AccessKeyId"], created["SecretAccessKey"])


@dataclass(frozen=True)
class Api:
    """The payments API, called with a client's keys; without keys, unsigned."""

    url: str
    region: str
    keys: Keys | None
    trusted: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def request(
        self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """Send a request and return its answer, of any status.

        A request that the API could not serve is repeated twice: the contract says that this is safe.
        """
        wanted = AWSRequest(
            method=method, url=f"{self.url}{path}", data=body, headers={**self.headers, **(headers or {})}
        )
        if body is not None:
            wanted.headers["content-type"] = "application/json"
        if self.keys:
            credentials = Credentials(self.keys.access_key_id, self.keys.secret_access_key, self.keys.session_token)
            SigV4Auth(credentials, "execute-api", self.region).add_auth(wanted)
        for last in (False, False, True):
            answer = requests.request(
                method,
                f"{self.url}{path}",
                data=body.encode() if body is not None else None,
                headers=dict(wanted.headers.items()),
                timeout=_TIMEOUT_SECONDS,
                verify=self.trusted or True,
            )
            if answer.status_code != _UNAVAILABLE or last:
                break
            time.sleep(_PAUSE_SECONDS)
        return answer

    def post(self, payment: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> requests.Response:
        """Post a payment."""
        return self.request("POST", "/payments", json.dumps(payment), headers)

    def get(self, transaction_id: str) -> requests.Response:
        """Read a payment."""
        return self.request("GET", f"/payments/{transaction_id}")

    def refund(
        self, transaction_id: str, refund: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """Post a refund of a payment."""
        return self.request("POST", f"/payments/{transaction_id}/refunds", json.dumps(refund), headers)

    def customers_payments(self, customer_id: str, query: str = "") -> requests.Response:
        """List a customer's payments, the newest first."""
        return self.request("GET", f"/customers/{customer_id}/payments{query}")


class RefusedError(LocalError):
    """The API refused a request."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def retrying(
    call: Callable[[], requests.Response], seconds: float, pause: Callable[[float], None] = time.sleep
) -> requests.Response:
    """Repeat a call while the API is busy, for so many seconds. It waits as long as the answer asks.

    All our calls are safe to repeat.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = call()
        after = answer.headers.get("Retry-After", "")
        wait = max(float(after) if after.isdecimal() else 1.0, 0.2)
        if answer.status_code not in BUSY or time.monotonic() + wait > deadline:
            return answer
        pause(wait)


def payload(api: Api, answer: requests.Response) -> dict[str, Any]:
    """Return an answer's JSON object. Raises RefusedError, in the API's own words, for an error."""
    try:
        said = answer.json()
    except ValueError:
        said = {}
    if answer.ok and isinstance(said, dict):
        return said
    if not isinstance(said, dict):
        said = {}
    lines = [f"{answer.status_code} {said.get('title') or said.get('message') or answer.reason}"]
    if said.get("detail"):
        lines[0] += f": {said['detail']}"
    lines += [f"  {error['pointer'] or '/'} {error['detail']}" for error in said.get("errors", [])]
    if answer.headers.get("Retry-After"):
        lines.append(f"  Retry in {answer.headers['Retry-After']} s.")
    if answer.status_code == _FORBIDDEN:
        who = api.keys.access_key_id if api.keys else "this caller"
        lines.append(f"  {who} may not do this: it needs execute-api:Invoke on the API.")
    if said.get("instance"):
        lines.append(f"  request {said['instance']}")
    raise RefusedError("\n".join(lines), answer.status_code)
