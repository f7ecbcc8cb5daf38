"""An endpoint's signing secrets (Standard Webhooks), and its on/off switch."""

from __future__ import annotations

import base64
import binascii
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct
from standardwebhooks import Webhook

from payments.runtime.calls import available
from payments.runtime.telemetry import logger
from payments.webhooks.endpoint import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Callable


# The staging label that says that the endpoint is switched off; the version's id follows it.
OFF = "SWITCHED_OFF-"

_SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with

_SECRET_BYTES = range(24, 65)


class SecretError(DeliveryError):
    """There is no secret to sign with."""


class _EndpointSecrets(Struct, frozen=True):
    secrets: list[str]


def signers(text: str) -> list[Webhook]:
    """Return a signer for each valid secret in a secret's JSON; raises SecretError if there is none."""
    try:
        listed = msgspec.json.decode(text, type=_EndpointSecrets).secrets
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise SecretError('the secret must be JSON: {"secrets": ["whsec_..."]}') from error
    valid = [key for key in map(_key, listed) if key is not None]
    if len(valid) < len(listed):
        logger.error("a webhook secret is not valid", given=len(listed), valid=len(valid))
    if not valid:
        raise SecretError("no webhook secret is valid: whsec_ and base64 of 24 to 64 bytes")
    return [Webhook(key) for key in valid]


def _key(secret: str) -> bytes | None:
    if not secret.startswith(_SECRET_PREFIX):
        return None
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) in _SECRET_BYTES else None


class Signing(Struct, frozen=True):
    """The secret's content when it was last read."""

    version: str
    signers: list[Webhook]
    off: bool


class EndpointSecret:
    """An endpoint's secret in Secrets Manager, read once per container and time to live.

    Its current version also holds the endpoint's switch: a staging label means off. Deployments do not change it, and
    a new value, which has no such label, switches the endpoint on.
    """

    def __init__(self, client: Any, name: str, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._name = name
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._read: Signing | None = None
        self._until = 0.0

    def read(self) -> Signing:
        """Return the secret; raises SecretError if it has no value to sign with."""
        with self._lock:
            if self._read is None or self._clock() >= self._until:
                self._read = self._fetch()
                self._until = self._clock() + self._seconds
            return self._read

    def _fetch(self) -> Signing:
        try:
            with available():
                answer = self._client.get_secret_value(SecretId=self._name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            logger.error("the webhook has no secret yet", secret=self._name)
            raise SecretError("the secret has no value yet") from error
        version = answer["VersionId"]
        off = f"{OFF}{version}" in answer["VersionStages"]
        return Signing(version, [] if off else signers(answer["SecretString"]), off)

    def switch_off(self) -> None:
        """Label the secret's version, once; raises UnavailableError or ClientError if that fails."""
        with self._lock:
            read = self._read
            if read is None or read.off:
                return
            with available():
                self._client.update_secret_version_stage(
                    SecretId=self._name, VersionStage=f"{OFF}{read.version}", MoveToVersionId=read.version
                )
            self._read = Signing(read.version, [], off=True)
