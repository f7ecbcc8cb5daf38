"""Times: UTC, RFC 3339 with microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC, always with microseconds, so that the texts sort like the times."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def since(text: str, moment: datetime) -> timedelta:
    """Return how long before ``moment`` a time was; ``text`` is in the form that ``timestamp`` writes."""
    return moment - datetime.fromisoformat(text)
