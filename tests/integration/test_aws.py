"""Which responses a function accepts as an answer of AWS, with a real client over real HTTP."""

from __future__ import annotations

import json
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from payments.domain.errors import UnavailableError
from payments.runtime import client
from payments.runtime.calls import available

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWER = json.dumps({"Item": {"transaction_id": {"S": "order-1"}}}).encode()
NOT_THERE = b"{}"


ACCOUNT = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "eu-west-1"}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Return a factory of clients for a server that sends one answer, or only its first bytes."""
    said: dict[str, Any] = {}

    class AwsHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            whole, sent = said["answer"], said["sent"]
            self.send_response(200)
            self.send_header("Content-Type", said["kind"])
            # A careful proxy that cuts an answer off also corrects its length.
            self.send_header("Content-Length", str(len(sent)))
            if said["checksum"]:
                self.send_header("x-amz-crc32", str(zlib.crc32(whole)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), AwsHandler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")

    def served(
        service: str, answer: bytes, length: int | None = None, *, kind: str = "application/x-amz-json-1.0"
    ) -> Any:
        said.update(answer=answer, sent=answer[:length], kind=kind, checksum=service == "dynamodb")
        return client.connect(service)

    yield served
    server.shutdown()
    server.server_close()


def get(dynamodb: Any) -> dict[str, Any]:
    with available():
        found: dict[str, Any] = dynamodb.get_item(TableName="t", Key={"transaction_id": {"S": "order-1"}})
    return found


@pytest.mark.parametrize("length", [0, 1, len(ANSWER) // 2, len(ANSWER) - 1])
def test_an_answer_that_was_cut_off_does_not_mean_that_there_is_no_payment(
    serve: Callable[..., Any], length: int
) -> None:
    with pytest.raises(UnavailableError, match="ChecksumMismatch"):
        get(serve("dynamodb", ANSWER, length))


def test_a_whole_answer_is_taken(serve: Callable[..., Any]) -> None:
    assert get(serve("dynamodb", ANSWER))["Item"] == {"transaction_id": {"S": "order-1"}}
    assert "Item" not in get(serve("dynamodb", NOT_THERE))


def test_an_announcements_answer_that_was_cut_is_no_answer(serve: Callable[..., Any]) -> None:
    sns = serve("sns", b"<PublishBatchResponse><PublishBatchResult/></PublishBatchResponse>", 30, kind="text/xml")
    with pytest.raises(UnavailableError), available():
        sns.publish_batch(TopicArn="t", PublishBatchRequestEntries=[{"Id": "0", "Message": "m"}])
