"""The format of the ids that clients choose."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

# The ids that clients give payments and refunds.
ID = r"[A-Za-z0-9_-]{1,64}"

Id = Annotated[str, Meta(pattern=rf"\A{ID}\Z")]

TRANSACTION_ID = re.compile(ID)

REFUND_ID = TRANSACTION_ID

CUSTOMER_ID = re.compile(r"[A-Za-z0-9_.:@-]{1,128}")
