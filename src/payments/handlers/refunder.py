"""``POST /payments/{transaction_id}/refunds``: accept a refund, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments.api.answers import RefundAccepted
from payments.api.problems import (
    MISMATCH,
    NOT_FOUND,
    NOT_REFUNDABLE,
    TOO_MUCH,
    UNAVAILABLE,
    Response,
    body_of,
    header,
    problem,
    refusal,
    response,
)
from payments.api.requests import MAX_BODY, BadRequestError, parse_refund
from payments.domain.clock import now
from payments.domain.errors import UnavailableError
from payments.domain.ids import TRANSACTION_ID
from payments.runtime import client, settings
from payments.runtime.handler import function, wire_once
from payments.runtime.telemetry import logger, measure
from payments.table.store import Table
from payments.usecases.refund import MismatchError, NoPaymentError, NotRefundableError, Refunding, TooMuchError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@wire_once
def wired() -> Refunding:
    """Return what accepts refunds."""
    return Refunding(Table(client.connect("dynamodb"), settings.text("TABLE_NAME")), now)


@function
def handler(event: dict[str, Any], context: LambdaContext) -> Response:  # noqa: ARG001, PLR0911 - one return an answer
    """Answer a request of API Gateway's proxy integration."""
    request_id = event["requestContext"]["requestId"]
    refunding = wired()
    try:
        return _accept(event, refunding)
    except BadRequestError as error:
        measure("Refused")
        logger.info("refused", fields=[wrong.pointer for wrong in error.errors], reason=type(error).__name__)
        return refusal(error, request_id)
    except NoPaymentError:
        return problem(NOT_FOUND, "There is no payment with this transaction_id.", request_id)
    except MismatchError:
        measure("Mismatched")
        logger.info("mismatched", transaction_id=event["pathParameters"]["transaction_id"])
        detail = "A different refund has this refund_id. Use a new refund_id for a new refund."
        return problem(MISMATCH, detail, request_id)
    except NotRefundableError as error:
        return problem(NOT_REFUNDABLE, str(error), request_id)
    except TooMuchError as error:
        return problem(TOO_MUCH, str(error), request_id)
    except UnavailableError as error:
        named = event["pathParameters"]["transaction_id"]
        logger.warning("the table did not answer", transaction_id=named, reason=str(error))
        detail = "The refund could not be stored. It is safe to repeat the request."
        return problem(UNAVAILABLE, detail, request_id)


def _accept(event: dict[str, Any], refunding: Refunding) -> Response:
    transaction_id = event["pathParameters"]["transaction_id"]
    request = parse_refund(body_of(event, MAX_BODY), header(event, "Idempotency-Key"))
    if not TRANSACTION_ID.fullmatch(transaction_id):
        raise NoPaymentError
    accepted = refunding.accept(transaction_id, request)
    measure("RefundReplayed" if accepted.replayed else "RefundAccepted")
    logger.info(
        "refund replayed" if accepted.replayed else "refund accepted",
        transaction_id=transaction_id,
        refund_id=request.refund_id,
    )
    headers = {"Location": f"/payments/{transaction_id}/refunds/{request.refund_id}"}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return response(202, RefundAccepted.of(accepted.payment, request.refund_id), headers)
