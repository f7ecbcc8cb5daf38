"""An HTTPS endpoint, and one POST to it.

The endpoint belongs to somebody else: it may be slow or down, or resolve to an address that only we can reach. So every
wait is limited, no redirect is followed, and the connection goes to the address that was checked.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Enough for an endpoint to finish its answer, which is not used.
MAX_ANSWER_BYTES = 16 * 1024

CONNECT_SECONDS = 5.0

_PUBLIC_V6 = ipaddress.ip_network("2000::/3")

# A translator or a relay would turn these into an unchecked IPv4 address, or they are reserved and not all versions of
# Python know it.
_NEVER: tuple[Network, ...] = tuple(
    ipaddress.ip_network(block) for block in ("2001::/23", "2002::/16", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24")
)


class DeliveryError(Exception):
    """A message was not delivered, and will be retried."""

    def __init__(self, reason: str, retry_after: float = 0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class AddressError(DeliveryError):
    """The endpoint's name resolves to an address that must not get webhooks."""


@dataclass(frozen=True)
class Endpoint:
    """The address for webhooks, a delivery's time limit, and the private networks allowed, only on a laptop."""

    host: str
    port: int
    path: str
    seconds: float
    allowed: tuple[Network, ...] = ()

    @classmethod
    def of(cls, url: str, seconds: float, allowed: Iterable[str] = ()) -> Endpoint:
        """Return the endpoint of a URL; raises ValueError if it is not a plain https URL."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.fragment:
            raise ValueError("a webhook's URL must be https://host/path, with no user and no fragment")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname, parts.port or 443, path, seconds, tuple(map(ipaddress.ip_network, allowed)))


def is_refused(address: str, allowed: Iterable[Network] = ()) -> bool:
    """Return whether an address is outside the public internet and outside the ``allowed`` networks."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if any(ip in network for network in allowed):
        return False
    if any(ip in network for network in _NEVER) or (ip.version == 6 and ip not in _PUBLIC_V6):  # noqa: PLR2004
        return True
    return not ip.is_global or ip.is_multicast or ip.is_reserved


def addresses(endpoint: Endpoint) -> list[str]:
    """Resolve the endpoint's name once; raises AddressError if any of its addresses is refused."""
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DeliveryError("the endpoint's name was not resolved") from error
    resolved = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if any(is_refused(address, endpoint.allowed) for address in resolved):
        raise AddressError("the endpoint's name resolves to an address that is not public")
    return resolved


class _Socket(ssl.SSLSocket):
    """A TLS connection whose waits end with the delivery's time: an ordinary time-out restarts with every byte."""

    deadline = float("inf")

    def _limit(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the delivery took too long")
        self.settimeout(left)

    def recv_into(self, *arguments: Any, **options: Any) -> int:  # noqa: ANN401 - as the base class has them
        self._limit()
        return super().recv_into(*arguments, **options)

    def send(self, *arguments: Any, **options: Any) -> int:  # noqa: ANN401 - as the base class has them
        self._limit()
        return super().send(*arguments, **options)


def trust() -> ssl.SSLContext:
    """Return the TLS context, which checks the certificate's authority and the endpoint's name."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _Socket
    return context


class _Connection(http.client.HTTPSConnection):
    """A connection only to addresses that were checked: the name is not resolved again."""

    def __init__(self, endpoint: Endpoint, checked: Sequence[str], context: ssl.SSLContext, deadline: float) -> None:
        super().__init__(endpoint.host, endpoint.port, context=context)
        self._checked = checked
        self._trust = context
        self._deadline = deadline

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.001)

    def _reach(self) -> socket.socket:
        for address in self._checked[:-1]:
            with suppress(OSError):
                return socket.create_connection((address, self.port), min(CONNECT_SECONDS, self._left()))
        return socket.create_connection((self._checked[-1], self.port), min(CONNECT_SECONDS, self._left()))

    def connect(self) -> None:
        """Connect, and check that the certificate is for the host name."""
        plain = self._reach()
        plain.settimeout(self._left())
        tls = self._trust.wrap_socket(plain, server_hostname=self.host)
        if isinstance(tls, _Socket):
            tls.deadline = self._deadline
        self.sock = tls


def post(endpoint: Endpoint, headers: dict[str, str], body: bytes, context: ssl.SSLContext) -> tuple[int, str | None]:
    """Post a body and return the status and the Retry-After header.

    Raises DeliveryError if there is no answer in time, and AddressError if the endpoint's address is refused.
    """
    deadline = time.monotonic() + endpoint.seconds
    connection = _Connection(endpoint, addresses(endpoint), context, deadline)
    try:
        connection.request("POST", endpoint.path, body, headers)
        answer = connection.getresponse()
        with suppress(OSError, http.client.HTTPException):
            answer.read(MAX_ANSWER_BYTES)
        return answer.status, answer.headers.get("Retry-After")
    except (OSError, http.client.HTTPException) as error:
        # Only the type, since the text may come from the endpoint.
        detail = error.strerror if isinstance(error, OSError) else None
        raise DeliveryError(": ".join(filter(None, [type(error).__name__, detail]))) from error
    finally:
        connection.close()
