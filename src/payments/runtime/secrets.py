"""A secret in Secrets Manager, read once per container and time to live: a new value needs no deployment.

Its value is never stored elsewhere: not in an environment variable, a state, a log or an error.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from botocore.exceptions import ClientError

from payments.domain.errors import UnavailableError
from payments.runtime.calls import available

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")


class Secret(Generic[T]):
    """A secret, and what ``parse`` makes of its text. ``parse`` raises ValueError if it cannot use the text."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - botocore's
        name: str,
        parse: Callable[[str], T],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._name = name
        self._parse = parse
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._read: T | None = None
        self._until = 0.0

    def read(self) -> T:
        """Return what the secret holds. Raises UnavailableError if it cannot be read, or holds no valid value.

        While Secrets Manager does not answer, the last value that was read stays in use.
        """
        with self._lock:
            if self._read is None or self._clock() >= self._until:
                try:
                    self._read = self._fetch()
                except UnavailableError:
                    if self._read is None:
                        raise
                # Also set after a failure, so that not every call waits for a service that does not answer.
                self._until = self._clock() + self._seconds
            return self._read

    def forget(self) -> None:
        """Read the secret again next time: the value was refused, so it may have been replaced."""
        with self._lock:
            self._until = 0.0

    def _fetch(self) -> T:
        try:
            with available():
                text = self._client.get_secret_value(SecretId=self._name)["SecretString"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            raise UnavailableError(f"the secret {self._name} has no value yet") from None
        try:
            return self._parse(text)
        except ValueError:
            # Without the cause, which may repeat the secret's text.
            raise UnavailableError(f"the secret {self._name} does not hold a usable value") from None
