"""The API's operations, as data. The OpenAPI document is generated from them, and the routes from that document."""

from __future__ import annotations

from msgspec import Struct

from payments.api import problems
from payments.api.answers import PaymentAccepted, PaymentList, PaymentView, RefundAccepted, RefundView
from payments.api.problems import ProblemType
from payments.api.requests import DEFAULT_LIMIT, MAX_LIMIT, MAX_TOKEN, PAYMENT_FIELDS, REFUND_FIELDS, Field
from payments.domain.ids import CUSTOMER_ID, REFUND_ID, TRANSACTION_ID


class Parameter(Struct, frozen=True):
    """A parameter in the path, the query or a header, with its JSON Schema."""

    place: str
    name: str
    schema: dict[str, object]
    description: str


class Body(Struct, frozen=True):
    """A request's body: the name of its schema, its members, and an example."""

    name: str
    fields: dict[str, Field]
    example: dict[str, object]


class Operation(Struct, frozen=True):
    """A method on a path, the function that serves it, and its answers."""

    name: str
    method: str
    path: str
    function: str
    summary: str
    answer: type[Struct]
    status: int
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    problems: tuple[ProblemType, ...] = ()


def _path(name: str, pattern: str, description: str) -> Parameter:
    return Parameter("path", name, {"type": "string", "pattern": f"^{pattern}$"}, description)


_TRANSACTION = _path("transaction_id", TRANSACTION_ID.pattern, "The client's own id of the payment.")

_REFUND = _path("refund_id", REFUND_ID.pattern, "The client's own id of the refund.")

_CUSTOMER = _path("customer_id", CUSTOMER_ID.pattern, "The client's own id of the customer.")

_LIMIT = Parameter(
    "query",
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "The most payments on a page. A page of large payments holds fewer.",
)

_NEXT = Parameter(
    "query", "next_token", {"type": "string", "maxLength": MAX_TOKEN}, "The next_token of the previous page."
)


def _key(name: str) -> Parameter:
    description = f"If you send it, it must equal {name}."
    return Parameter(
        "header", "Idempotency-Key", {"type": "string", "pattern": f"^{TRANSACTION_ID.pattern}$"}, description
    )


OPERATIONS = (
    Operation(
        name="create_payment",
        method="POST",
        path="/payments",
        function="validator",
        summary="Accept a payment, once",
        answer=PaymentAccepted,
        status=202,
        parameters=(_key("transaction_id"),),
        body=Body(
            "PaymentRequest",
            PAYMENT_FIELDS,
            {
                "transaction_id": "order-1001",
                "customer_id": "ada",
                "amount": "12.50",
                "currency": "EUR",
                "payment_method": "pm_sim_approved",
            },
        ),
        problems=(problems.MALFORMED, problems.INVALID, problems.TOO_LARGE, problems.MISMATCH),
    ),
    Operation(
        name="get_payment",
        method="GET",
        path="/payments/{transaction_id}",
        function="reader",
        summary="Read a payment",
        answer=PaymentView,
        status=200,
        parameters=(_TRANSACTION,),
        problems=(problems.NOT_FOUND,),
    ),
    Operation(
        name="create_refund",
        method="POST",
        path="/payments/{transaction_id}/refunds",
        function="refunder",
        summary="Accept a refund of a payment, once",
        answer=RefundAccepted,
        status=202,
        parameters=(_TRANSACTION, _key("refund_id")),
        body=Body(
            "RefundRequest", REFUND_FIELDS, {"refund_id": "return-1", "amount": "5.00", "reason": "One came back"}
        ),
        problems=(
            problems.MALFORMED,
            problems.INVALID,
            problems.TOO_LARGE,
            problems.NOT_FOUND,
            problems.NOT_REFUNDABLE,
            problems.TOO_MUCH,
            problems.MISMATCH,
        ),
    ),
    Operation(
        name="get_refund",
        method="GET",
        path="/payments/{transaction_id}/refunds/{refund_id}",
        function="reader",
        summary="Read a refund",
        answer=RefundView,
        status=200,
        parameters=(_TRANSACTION, _REFUND),
        problems=(problems.NOT_FOUND,),
    ),
    Operation(
        name="list_customer_payments",
        method="GET",
        path="/customers/{customer_id}/payments",
        function="reader",
        summary="List a customer's payments, newest first",
        answer=PaymentList,
        status=200,
        parameters=(_CUSTOMER, _LIMIT, _NEXT),
        problems=(problems.INVALID,),
    ),
)
