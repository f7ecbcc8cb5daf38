"""The gateways' own services, as servers in the test's process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.stripe_server import FakeStripe

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with FakeStripe() as served:
        yield served
