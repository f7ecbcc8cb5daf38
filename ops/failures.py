"""Errors as sentences that say what to do."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as AwsConnectionError,
)
from requests import RequestException

_DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_UNKNOWN_KEYS = ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch")
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, ProfileNotFound, SSOError, TokenRetrievalError)


def explain(error: Exception) -> str:
    """Return an error as a sentence for an operator."""
    match error:
        case ClientError():
            said = _refused(error)
        case NoCredentialsError() | PartialCredentialsError():
            said = "no AWS credentials. Set AWS_PROFILE, or sign in, then repeat the command."
        case ProfileNotFound() | SSOError() | TokenRetrievalError():
            said = f"the AWS credentials cannot be used: {error}"
        case EndpointConnectionError():
            said = f"AWS does not answer: {error}"
        case BotoCoreError():
            said = f"the call to AWS failed: {error}"
        case RequestException():
            said = f"the API does not answer ({type(error).__name__}). Repeat the command."
        case _:
            said = f"unexpected: {type(error).__name__}: {error}. Set PAYMENTS_DEBUG=1 for a traceback."
    return said


def _refused(error: ClientError) -> str:
    code, text = code_of(error), error.response["Error"].get("Message", "")
    if code in _DENIED:
        return f"not allowed: {error.operation_name}. {text}".strip()
    if code in _EXPIRED:
        return "the AWS credentials have expired. Sign in again, then repeat the command."
    return f"AWS refused {error.operation_name}: {code}. {text}".strip()


def keeps_out(error: Exception) -> bool:
    """Say whether an error would meet every call: AWS cannot be reached, or the credentials are of no account."""
    unusable = code_of(error) in {*_EXPIRED, *_UNKNOWN_KEYS}
    return unusable or isinstance(error, (AwsConnectionError, HTTPClientError, *_NO_CREDENTIALS))


def code_of(error: Exception) -> str:
    """Return AWS's code of an error; an empty text if it has none."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else ""
