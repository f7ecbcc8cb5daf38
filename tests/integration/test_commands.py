"""The operator's command: what it asks, says and refuses, and in which order it moves what must not be lost."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest
import requests
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from local import ROOT, LocalError
from local.command import install
from ops import target, timeline
from ops.client import Api, Keys
from ops.commands import payments as payment_commands
from ops.commands.options import RefusedError, answer_of, ask, patiently
from ops.dead_letters import Letter, Post, Queue, dead_letter_queues, work_queues
from ops.dead_letters import call as call_function
from ops.doctor import NEEDED, examine
from ops.failures import explain
from ops.output import Output, printable
from ops.stream import Feed, GoneError, records_between
from payments.model import Message, Task, to_item
from payments.relaying import messages_of
from tests.commands import Ran, runner
from tests.unit.conftest import payment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., Ran]

ARN = "arn:aws:sqs:ap-southeast-1:000000000000:payment-validator-dlq-dev"
OUTPUTS: dict[str, Any] = {
    "alarms_topic_arn": "arn:aws:sns:ap-southeast-1:000000000000:payment-alarms-dev",
    "announcements_topic_arn": "arn:aws:sns:ap-southeast-1:000000000000:payment-announcements-dev",
    "api_gateway_id": "abc123",
    "api_gateway_url": "https://abc123.execute-api.ap-southeast-1.amazonaws.com/prod",
    "api_stage_name": "prod",
    "dynamodb_table_name": "payment-transactions-dev",
    "function_names": {name: f"payment-{name}-dev" for name in ("relay", "processor", "notifier", "reconciler")},
    "processor_dlq_url": "https://sqs/payment-processor-dlq-dev",
    "processor_queue_url": "https://sqs/payment-processor-to-notifier-dev",
    "reconciler_function_name": "payment-reconciler-dev",
    "region": "ap-southeast-1",
    "relay_dlq_url": "https://sqs/payment-relay-dlq-dev",
    "validator_dlq_url": "https://sqs/payment-validator-dlq-dev",
    "validator_queue_url": "https://sqs/payment-validator-to-processor-dev",
}


@dataclass
class FakeStack:
    """A stack whose clients are what a test makes of them."""

    outputs: dict[str, Any] = field(default_factory=lambda: dict(OUTPUTS))
    endpoint: str | None = None
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str, **_config: object) -> Any:
        if service not in self.clients:
            self.clients[service] = MagicMock()
            self.clients[service].exceptions.ClientError = ClientError
        return self.clients[service]

    dynamodb = property(lambda self: self.client("dynamodb"))
    functions = property(lambda self: self.client("lambda"))
    sns = property(lambda self: self.client("sns"))


def refused(code: str, operation: str = "Operation") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "so it says"}}, operation)


def said(status: int, body: object, headers: dict[str, str] | None = None) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer._content = json.dumps(body).encode()  # noqa: SLF001 - how requests is given a body
    answer.headers.update(headers or {})
    return answer


API = Api("https://api", "ap-southeast-1", Keys("AKID", "secret", "token"))


@pytest.fixture
def payments(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest.fixture
def stack() -> FakeStack:
    return FakeStack()


@pytest.fixture
def account(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """An environment in an account, whose API is what a test makes of it."""
    api = MagicMock(spec=Api, keys=API.keys, url="https://api", region="r", trusted=None)
    monkeypatch.setattr(target, "resolve", lambda env: target.Target(env, stack, api))  # type: ignore[arg-type]
    return api


# The command


def test_every_failure_is_a_sentence_and_a_status(payments: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_env: str) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(target, "resolve", fail)
    failed = payments("doctor")
    assert (failed.status, failed.out) == (1, "")
    assert failed.err.strip() == "unexpected: ZeroDivisionError: a fault of ours. PAYMENTS_DEBUG=1 shows where."
    monkeypatch.setenv("PAYMENTS_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        payments("doctor")


def test_wrong_usage_has_a_status_of_its_own(payments: Run) -> None:
    for arguments in (["nonsense"], ["pay"], ["pay", "1", "--nonsense"], ["reconcile", "a", "--older-than", "5"]):
        assert payments(*arguments).status in {1, 2}
    assert payments("nonsense").status == 2
    assert "No such command" in payments("nonsense").err


def test_the_console_ends_well_by_ctrl_c(payments: Run, stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    there = target.Target("local", stack, API)  # type: ignore[arg-type]
    monkeypatch.setattr(target, "local_target", lambda _place: there)
    monkeypatch.setattr("ops.console.server.threading.Thread.join", MagicMock(side_effect=KeyboardInterrupt))
    ended = payments("console", "--port", "0")
    assert (ended.status, ended.err) == (0, "")
    assert "http://127.0.0.1:" in ended.out


def test_help_names_every_command(payments: Run) -> None:
    told = payments("--help")
    assert told.status == 0
    for name in ("pay", "show", "list", "watch", "refund", "dlq", "reconcile", "doctor", "completion", "console", "up"):
        assert re.search(rf"\b{name}\b", told.out), name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_the_shell(payments: Run, shell: str) -> None:
    script = payments("completion", shell)
    assert script.status == 0
    assert "_PAYMENTS_COMPLETE" in script.out


def test_completion_completes(payments: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "_PAYMENTS_COMPLETE": "complete_bash",
        "COMP_WORDS": "payments dlq re",
        "COMP_CWORD": "2",
    }.items():
        monkeypatch.setenv(name, value)
    assert payments().out.split() == ["redrive"]


def test_the_command_lies_beside_its_python_and_runs_from_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / "a checkout" / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    made = install(folder)
    assert made.stat().st_mode & stat.S_IXUSR
    for name in ("ops", "local", "src", "env"):
        (tmp_path / "a checkout" / name).symlink_to(ROOT / name)
    elsewhere = tmp_path / "payments"
    elsewhere.symlink_to(made)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if "site-packages" in path),
    }
    ran = subprocess.run([elsewhere, "--help"], cwd="/", env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "payments [OPTIONS] COMMAND" in ran.stdout


# What it says


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (refused("AccessDeniedException", "StartMessageMoveTask"), "not allowed: StartMessageMoveTask. so it says"),
        (refused("ExpiredToken"), "the AWS credentials have expired. Sign in again, then repeat the command."),
        (refused("Throttling", "Query"), "AWS refused Query: Throttling. so it says"),
        (NoCredentialsError(), "no AWS credentials. Set AWS_PROFILE, or sign in, then repeat the command."),
        (requests.ConnectionError("x"), "the API does not answer (ConnectionError). Repeat the command."),
    ],
)
def test_what_aws_refuses_is_explained(error: Exception, sentence: str) -> None:
    assert explain(error) == sentence


def test_an_endpoint_that_is_away_is_named() -> None:
    assert "https://sqs" in explain(EndpointConnectionError(endpoint_url="https://sqs"))


def test_a_problem_is_told_in_full() -> None:
    problem = {
        "title": "Invalid request",
        "detail": "Two fields are wrong.",
        "instance": "urn:uuid:1",
        "errors": [{"pointer": "/amount", "detail": "is required"}, {"pointer": "", "detail": "is not a field"}],
    }
    with pytest.raises(RefusedError) as caught:
        answer_of(API, said(400, problem))
    assert str(caught.value).splitlines() == [
        "400 Invalid request: Two fields are wrong.",
        "  /amount is required",
        "  / is not a field",
        "  request urn:uuid:1",
    ]


def test_a_refusal_says_when_to_come_back_and_who_was_refused() -> None:
    with pytest.raises(RefusedError, match="It may be repeated in 3 s"):
        answer_of(API, said(503, {"title": "Busy"}, {"Retry-After": "3"}))
    with pytest.raises(RefusedError, match=r"AKID may not do this: it needs execute-api:Invoke"):
        answer_of(API, said(403, {"message": "Forbidden"}))
    with pytest.raises(RefusedError, match="502"):
        answer_of(API, said(502, ["no", "object"]))


def test_nothing_that_is_shown_can_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;owned\x07 [red]x[/red] \u202egnp\r\n"
    assert printable(hostile) == "\\x1b]0;owned\\x07 [red]x[/red] \\u202egnp\\r\\n"
    output = Output()
    output.line(hostile)
    output.table(("a",), [(hostile,)])
    output.pairs([("a", hostile)])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert printed.count("[red]x[/red]") == 3


def test_a_question_needs_somebody_who_can_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    ask("Delete it?", yes=True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(LocalError, match=r"Delete it.* say --yes"):
        ask("Delete it?", yes=False)


# Which deployment


def test_an_environment_that_is_not_deployed_says_how_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "account_terraform", lambda _env: MagicMock(outputs=dict))
    with pytest.raises(LocalError, match="make deploy ENV=dev"):
        target.resolve("dev")


@pytest.mark.parametrize("text", ["{", "[]", '{"region": 1}', None])
def test_a_file_that_holds_no_outputs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    file = tmp_path / "outputs.json"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("PAYMENTS_OUTPUTS", str(file))
    with pytest.raises(LocalError, match="not what `make -s outputs` prints"):
        target.resolve("dev")


@pytest.fixture
def outputs_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps({name: {"value": value} for name, value in OUTPUTS.items()}))
    monkeypatch.setenv("PAYMENTS_OUTPUTS", str(file))


@pytest.mark.usefixtures("outputs_file")
def test_an_account_is_called_with_the_credentials_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of a role")
    there = target.resolve("dev")
    assert not there.is_local
    assert there.api.keys == Keys("test", "test", "of a role")
    assert there.api.url == OUTPUTS["api_gateway_url"]


@pytest.mark.usefixtures("outputs_file")
def test_an_api_that_goes_by_a_key_or_a_token_is_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENTS_API_KEY", "k")
    assert target.resolve("dev").api.headers == {"x-api-key": "k"}
    monkeypatch.setenv("PAYMENTS_API_TOKEN", "t")
    api = target.resolve("dev").api
    assert (api.keys, api.headers) == (None, {"x-api-key": "k", "authorization": "t"})


def test_a_roles_session_token_is_signed_and_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, str] = {}

    def request(_method: str, _url: str, *, headers: dict[str, str], **_rest: Any) -> MagicMock:
        sent.update(headers)
        return MagicMock(status_code=200)

    monkeypatch.setattr("ops.client.requests", MagicMock(request=request))
    API.get("order-1")
    assert sent["X-Amz-Security-Token"] == "token"
    assert "x-amz-security-token" in sent["Authorization"]


# Payments


@pytest.mark.usefixtures("account")
def test_money_does_not_move_in_an_account_unasked(payments: Run, account: MagicMock) -> None:
    account.post.side_effect = account.refund.side_effect = AssertionError("it was called")
    bare = payments("pay", "1", "EUR", "--env", "dev")
    assert bare.status == 2
    assert "--customer and --method" in bare.err
    for arguments in (
        ["pay", "1", "EUR", "--customer", "ada", "--method", "pm", "--env", "dev"],
        ["refund", "order-1", "--env", "dev"],
        ["reconcile", "--env", "dev"],
    ):
        unasked = payments(*arguments)
        assert (unasked.status, "say --yes" in unasked.err) == (1, True)


_MOVES_MONEY = {
    "pay": ["pay", "1", "EUR", "--customer", "ada", "--method", "pm", "--env", "dev", "--yes"],
    "refund": ["refund", "order-1", "--amount", "5", "--env", "dev", "--yes"],
}


@pytest.mark.parametrize("command", _MOVES_MONEY)
@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ({"posted": requests.ReadTimeout}, 1),
        ({"posted": said(500, {"title": "Internal error"})}, 1),
        ({"posted": said(503, {"title": "Not now"}, {"Retry-After": "61"})}, 1),
        ({"posted": said(429, {"title": "Too many requests"}, {"Retry-After": "61"})}, 1),
        ({"posted": KeyboardInterrupt}, 130),
        ({"posted": said(202, {"status": "validated"}), "read": requests.ConnectionError}, 1),
        ({"posted": said(202, {"status": "validated"}), "read": said(502, {})}, 1),
        ({"posted": said(202, {"status": "validated"}), "read": KeyboardInterrupt}, 130),
    ],
)
def test_money_that_may_have_moved_names_the_id_to_repeat_it_with(
    payments: Run, account: MagicMock, command: str, answers: dict[str, Any], status: int
) -> None:
    account.post.side_effect = account.refund.side_effect = [answers["posted"]]
    account.request.side_effect = [answers.get("read")]
    lost = payments(*_MOVES_MONEY[command])
    assert lost.status == status
    assert re.search(r"repeat it with --id ops-[0-9a-f]{16}", lost.err)


def test_a_refusal_for_good_is_not_to_be_repeated(payments: Run, account: MagicMock) -> None:
    account.post.return_value = said(422, {"title": "Not supported"})
    refused = payments(*_MOVES_MONEY["pay"])
    assert (refused.status, "--id" in refused.err) == (1, False)


def test_a_call_that_comes_at_a_bad_moment_is_repeated_as_it_is_told() -> None:
    answers = [said(503, {}, {"Retry-After": "3"}), said(429, {}), said(202, {})]
    waited: list[float] = []
    assert patiently(lambda: answers.pop(0), 60, waited.append).status_code == 202
    assert waited == [3, 1]
    assert patiently(lambda: said(503, {}, {"Retry-After": "61"}), 60, waited.append).status_code == 503
    assert patiently(lambda: said(400, {}), 60, waited.append).status_code == 400
    assert waited == [3, 1]


def test_a_payment_without_an_outcome_in_time_is_no_success(payments: Run, account: MagicMock) -> None:
    account.post.return_value = said(202, {"status": "validated"})
    account.request.return_value = said(200, {"status": "unknown"})
    late = payments("pay", "1", "EUR", "--customer", "a", "--method", "p", "--env", "dev", "--yes", "--timeout", "0")
    assert late.status == 3
    assert "is unknown" in late.out


def test_an_id_cannot_lead_to_another_path(payments: Run, account: MagicMock) -> None:
    account.request.return_value = said(404, {"title": "Not found"})
    payments("show", "../customers/ada", "--env", "dev")
    assert account.request.call_args.args == ("GET", "/payments/..%2Fcustomers%2Fada")


def test_a_story_is_told_in_order_and_of_this_payment_only(stack: FakeStack) -> None:
    pages = stack.client("logs").get_paginator.return_value.paginate

    def lines(logGroupName: str, filterPattern: str, **_rest: object) -> list[dict[str, Any]]:  # noqa: N803 - botocore's
        assert filterPattern == '"order-1"'
        if "notifier" in logGroupName:
            raise refused("ResourceNotFoundException")
        told = [
            {"message": "recorded", "transaction_id": "order-1", "event": "approve", "level": "INFO"},
            {"message": "recorded", "transaction_id": "order-11", "level": "INFO"},
        ]
        events = [{"timestamp": 1767225601000, "message": json.dumps(line)} for line in told]
        return [{"events": [*events, {"timestamp": 1, "message": "START RequestId"}]}]

    pages.side_effect = lines
    steps, unread = timeline.of_logs(stack, "order-1", "2026-01-01T00:00:00.000000Z")  # type: ignore[arg-type]
    assert unread == ["the log of notifier cannot be read: ResourceNotFoundException"]
    assert {(step.what, step.detail) for step in steps} == {("recorded", "event: approve")}
    assert len(steps) == 3
    view = {"created_at": "2026-01-01T00:00:00.000000Z", "updated_at": "2026-01-01T00:00:02.000000Z"}
    known = timeline.of_payment(view | {"amount": "1.00", "currency": "EUR", "status": "failed", "failure_code": "x"})
    story = timeline.told(known + steps)
    assert [step.what for step in story] == ["validated", "recorded", "recorded", "recorded", "failed"]


# Dead letters


def message(number: int, body: str = "{}") -> dict[str, Any]:
    return {
        "MessageId": f"m{number}",
        "ReceiptHandle": f"r{number}",
        "Body": body,
        "Attributes": {"SentTimestamp": "1767225600000", "ApproximateReceiveCount": "1"},
    }


@dataclass
class FakeQueue:
    """SQS with one dead-letter queue, and a record of what was done in which order."""

    messages: list[dict[str, Any]]
    refuse: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)

    def get_queue_attributes(self, **_asked: object) -> dict[str, Any]:
        return {"Attributes": {"QueueArn": ARN, "ApproximateNumberOfMessages": str(len(self.messages))}}

    def start_message_move_task(self, **_asked: object) -> None:
        raise refused("InvalidAction", "StartMessageMoveTask")

    def receive_message(self, **asked: Any) -> dict[str, Any]:
        taken = self.messages[: asked["MaxNumberOfMessages"]]
        self.messages = self.messages[len(taken) :]
        return {"Messages": taken}

    def _each(self, what: str, name: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.done += [f"{what} {entry[name]}" for entry in entries if entry[name] not in self.refuse]
        return {"Failed": [{"Id": entry["Id"], "Code": "x"} for entry in entries if entry[name] in self.refuse]}

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        assert QueueUrl == OUTPUTS["validator_queue_url"]
        return self._each("send", "MessageBody", Entries)

    def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        return self._each("delete", "ReceiptHandle", Entries)

    def change_message_visibility_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> None:  # noqa: N803
        self._each("put back", "ReceiptHandle", Entries)


def post(stack: FakeStack, sqs: Any) -> tuple[Post, Queue]:
    stack.clients["sqs"] = sqs
    made = Post(stack)  # type: ignore[arg-type]
    return made, made.queue("validator")


def test_the_queues_are_those_of_the_outputs(stack: FakeStack) -> None:
    assert list(dead_letter_queues(stack)) == ["validator", "processor", "relay"]  # type: ignore[arg-type]
    stack.outputs["webhooks"] = {"shop": {"dead_letter_queue_url": "https://sqs/d", "queue_url": "https://sqs/q"}}
    assert dead_letter_queues(stack)["webhook-shop"].source == "https://sqs/q"  # type: ignore[arg-type]
    assert list(work_queues(stack)) == ["validator", "processor", "webhook-shop"]  # type: ignore[arg-type]
    stack.outputs |= {"event_bus_dlq_url": "https://sqs/bd", "event_bus_queue_url": "https://sqs/b"}
    assert dead_letter_queues(stack)["event-bus"] == Queue("event-bus", "https://sqs/bd", "https://sqs/b")  # type: ignore[arg-type]
    assert "event-bus" in work_queues(stack)  # type: ignore[arg-type]
    with pytest.raises(LocalError, match="There are: validator, processor, relay, webhook-shop, event-bus"):
        Post(stack).queue("nope")  # type: ignore[arg-type]


def test_a_letter_is_sent_before_it_is_deleted(stack: FakeStack) -> None:
    sqs = FakeQueue([message(1, "one"), message(2, "two")])
    made, queue = post(stack, sqs)
    assert made.redrive(queue, lambda _done, _total: None) == {"sent": 2, "kept": 0}
    assert sqs.done == ["send one", "send two", "delete r1", "delete r2"]


def test_a_letter_that_was_not_taken_is_not_deleted(stack: FakeStack) -> None:
    sqs = FakeQueue([message(1, "one"), message(2, "two")], refuse={"two"})
    made, queue = post(stack, sqs)
    assert made.redrive(queue, lambda _done, _total: None) == {"sent": 1, "kept": 1}
    assert sqs.done == ["send one", "delete r1", "put back r2"]


def test_no_more_are_sent_than_there_were(stack: FakeStack) -> None:
    """What fails again at once comes back meanwhile: it must not be sent round and round."""
    sqs = FakeQueue([message(1)])
    sqs.receive_message = lambda **_asked: {"Messages": [message(len(sqs.done) + 1)]}  # type: ignore[method-assign]
    made, queue = post(stack, sqs)
    assert made.redrive(queue, lambda _done, _total: None)["sent"] == 1


def test_where_sqs_moves_messages_itself_it_is_let(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.dead_letters.time.sleep", lambda _seconds: None)
    sqs = MagicMock()
    sqs.get_queue_attributes.side_effect = lambda QueueUrl, **_rest: {  # noqa: N803 - botocore's
        "Attributes": {"QueueArn": f"arn:{QueueUrl}"}
    }
    sqs.start_message_move_task.return_value = {"TaskHandle": "h"}
    running = {"TaskHandle": "h", "Status": "RUNNING", "ApproximateNumberOfMessagesToMove": 5}
    sqs.list_message_move_tasks.side_effect = [
        {"Results": [running | {"ApproximateNumberOfMessagesMoved": 2}]},
        {"Results": [{"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 5}]},
    ]
    made, queue = post(stack, sqs)
    seen: list[tuple[int, int]] = []
    assert made.redrive(queue, lambda done, total: seen.append((done, total))) == {"sent": 5, "kept": 0}
    assert seen[0] == (2, 5)
    sqs.start_message_move_task.assert_called_once_with(
        SourceArn=f"arn:{OUTPUTS['validator_dlq_url']}", DestinationArn=f"arn:{OUTPUTS['validator_queue_url']}"
    )
    sqs.receive_message.assert_not_called()
    sqs.list_message_move_tasks.side_effect = [{"Results": [{"Status": "FAILED", "FailureReason": "AccessDenied"}]}]
    with pytest.raises(LocalError, match="AccessDenied"):
        made.redrive(queue, lambda _done, _total: None)


def test_what_may_not_be_moved_is_not_carried_either(stack: FakeStack) -> None:
    sqs = FakeQueue([message(1)])
    sqs.start_message_move_task = MagicMock(side_effect=refused("AccessDenied"))  # type: ignore[method-assign]
    made, queue = post(stack, sqs)
    with pytest.raises(ClientError):
        made.redrive(queue, lambda _done, _total: None)
    assert sqs.done == []


def test_a_letter_shows_its_payment_and_no_means_to_pay() -> None:
    body = Message.of("payment.validated", payment(payment_method="pm_secret")).encode()
    shown = Letter.of(message(1, body)).summary()
    assert (shown["transaction_id"], shown["event"], shown["detail"]) == ("order-1", "payment.validated", "validated")
    assert "pm_secret" not in json.dumps(shown)


def test_a_letter_of_the_processor_shows_what_it_names() -> None:
    task = Task(event="refund.validated", transaction_id="order-1", refund_id="r1")
    shown = Letter.of(message(1, task.encode())).summary()
    assert (shown["transaction_id"], shown["event"], shown["refund_id"]) == ("order-1", "refund.validated", "r1")


def test_a_letter_that_cannot_be_read_shows_no_card() -> None:
    shown = Letter.of(message(1, "card 4111 1111 1111 1111")).summary()
    assert shown["event"] == "unreadable"
    assert "4111 1111 1111 1111" not in shown["detail"]


def test_deleting_writes_the_copy_first(payments: Run, stack: FakeStack, account: MagicMock, tmp_path: Path) -> None:
    stack.clients["sqs"] = FakeQueue([message(1, "one")])
    refused_copy = payments(
        "dlq", "purge", "validator", "--save", str(tmp_path / "no" / "file"), "--yes", "--env", "dev"
    )
    assert refused_copy.status == 1
    assert "nothing was deleted" in refused_copy.err
    assert stack.clients["sqs"].done == []
    kept = tmp_path / "kept"
    assert payments("dlq", "purge", "validator", "--save", str(kept), "--yes", "--env", "dev").status == 0
    assert json.loads(kept.read_text())["body"] == "one"
    assert kept.stat().st_mode & 0o077 == 0


# The relay's letters


BATCH = {
    "shardId": "s",
    "startSequenceNumber": "10",
    "endSequenceNumber": "12",
    "approximateArrivalOfFirstRecord": "2026-01-01T00:00:00Z",
    "approximateArrivalOfLastRecord": "2026-01-01T00:00:10Z",
    "batchSize": 3,
    "streamArn": "arn",
}


def records(*numbers: int) -> list[dict[str, Any]]:
    return [{"eventName": "MODIFY", "dynamodb": {"SequenceNumber": str(number)}} for number in numbers]


def test_exactly_the_records_that_were_lost_are_read(stack: FakeStack) -> None:
    streams = stack.client("dynamodbstreams")
    streams.get_records.side_effect = [
        {"Records": [], "NextShardIterator": "b"},
        {"Records": records(10, 11), "NextShardIterator": "c"},
        {"Records": records(12, 13), "NextShardIterator": "d"},
    ]
    found = records_between(stack, "arn", "s", "10", "12")  # type: ignore[arg-type]
    assert [record["dynamodb"]["SequenceNumber"] for record in found] == ["10", "11", "12"]


def test_records_of_which_the_last_is_not_there_are_not_taken_for_all(stack: FakeStack) -> None:
    streams = stack.client("dynamodbstreams")
    streams.get_records.side_effect = [{"Records": records(10), "NextShardIterator": None}]
    with pytest.raises(GoneError):
        records_between(stack, "arn", "s", "10", "12")  # type: ignore[arg-type]
    streams.get_shard_iterator.side_effect = refused("TrimmedDataAccessException")
    with pytest.raises(GoneError):
        records_between(stack, "arn", "s", "10", "12")  # type: ignore[arg-type]
    streams.get_shard_iterator.side_effect = refused("AccessDeniedException")
    with pytest.raises(ClientError):
        records_between(stack, "arn", "s", "10", "12")  # type: ignore[arg-type]


REFUND = {
    "amount_minor": 500,
    "status": "processed",
    "created_at": "2026-01-01T00:00:01.000000Z",
    "fingerprint": "f",
}

DISPUTE = {
    "amount_minor": 500,
    "status": "needs_response",
    "reason": "fraudulent",
    "told": 1,
    "updated_at": "2026-01-01T00:00:02.000000Z",
}


@pytest.mark.parametrize(
    ("changes", "events"),
    [
        ({}, ["payment.validated"]),
        ({"status": "processed", "version": 2}, ["payment.processed"]),
        ({"status": "unknown", "version": 2}, ["payment.unknown"]),
        (
            {
                "status": "partially_refunded",
                "version": 5,
                "updated_at": "2026-01-01T00:00:09.000000Z",
                "refunds": {
                    "old": REFUND | {"updated_at": "2026-01-01T00:00:02.000000Z"},
                    "new": REFUND | {"updated_at": "2026-01-01T00:00:09.000000Z"},
                },
            },
            ["payment.refunded"],
        ),
        # Neither of these has changed the charge's outcome: it is not to be announced again, under another id.
        (
            {
                "status": "processed",
                "version": 3,
                "updated_at": "2026-01-01T00:00:09.000000Z",
                "disputes": {"old": DISPUTE, "new": DISPUTE | {"updated_at": "2026-01-01T00:00:09.000000Z"}},
            },
            ["payment.disputed"],
        ),
        (
            {
                "status": "processed",
                "version": 4,
                "updated_at": "2026-01-01T00:20:00.000000Z",
                "redrives": 1,
                "refunds": {"open": REFUND | {"status": "validated", "updated_at": "2026-01-01T00:00:02.000000Z"}},
            },
            ["refund.validated"],
        ),
        ({"status": "unknown", "version": 3, "redrives": 1}, ["payment.validated"]),
        # It was put back from a backup: what is final was announced when it happened.
        ({"status": "processed", "version": 1767225600, "restored_at": "2026-01-01T00:00:00.000000Z"}, []),
        ({"version": 1767225600, "restored_at": "2026-01-01T00:00:00.000000Z"}, ["payment.validated"]),
    ],
)
def test_of_what_the_stream_has_forgotten_the_last_change_is_told(
    stack: FakeStack, changes: dict[str, Any], events: list[str]
) -> None:
    """Only the last one: it alone still has the version that its event's id is made of."""
    import msgspec  # noqa: PLC0415 - for this alone

    from payments.model import Payment  # noqa: PLC0415

    one = msgspec.convert(msgspec.to_builtins(payment()) | changes, Payment)
    stack.client("dynamodbstreams").get_shard_iterator.side_effect = refused("TrimmedDataAccessException")
    scan = stack.dynamodb.get_paginator.return_value.paginate
    scan.return_value = [{"Items": [to_item(one), {"transaction_id": {"S": "no payment"}}]}]
    letter = Letter.of(message(1, json.dumps({"DDBStreamBatchInfo": BATCH})))
    found = Post(stack).lost_records(letter)  # type: ignore[arg-type]
    assert found is not None
    assert [message.event for record in found for message in messages_of(record)] == events
    bounds = scan.call_args.kwargs["ExpressionAttributeValues"]
    assert bounds == {
        ":first": {"S": "2025-12-31T23:59:00.000000Z"},
        ":last": {"S": "2026-01-01T00:01:10.000000Z"},
    }


def test_a_letter_whose_records_the_relay_refuses_stays(stack: FakeStack) -> None:
    body = json.dumps({"transaction_id": "order-1", "sequence_number": "1", "reason": "x"})
    sqs = FakeQueue([message(1, body)])
    made, _ = post(stack, sqs)
    stack.dynamodb.get_item.return_value = {"Item": to_item(payment())}
    stack.functions.invoke.return_value = {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'"RelayError"')}
    with pytest.raises(LocalError, match="RelayError"):
        made.redrive_relay(made.queue("relay"), lambda _done, _total: None)
    assert sqs.done == []
    sent = json.loads(stack.functions.invoke.call_args.kwargs["Payload"])
    assert messages_of(sent["Records"][0])[0].event == "payment.validated"


def test_times_in_records_are_sent_as_lambda_sends_them(stack: FakeStack) -> None:
    stack.functions.invoke.return_value = {"Payload": io.BytesIO(b"null")}
    record = {"dynamodb": {"ApproximateCreationDateTime": datetime(2026, 1, 1, tzinfo=UTC)}}
    assert call_function(stack, "f", {"Records": [record]}) is None  # type: ignore[arg-type]
    sent = json.loads(stack.functions.invoke.call_args.kwargs["Payload"])
    assert sent["Records"][0]["dynamodb"]["ApproximateCreationDateTime"] == 1767225600


# The stream as it comes


def test_a_feed_goes_on_after_its_last_record_and_reads_new_shards_whole(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.stream._LOOK_FOR_SHARDS_SECONDS", -1)
    stack.dynamodb.describe_table.return_value = {"Table": {"LatestStreamArn": "arn"}}
    streams = stack.client("dynamodbstreams")
    first, second = {"ShardId": "a"}, {"ShardId": "b"}
    streams.describe_stream.side_effect = [
        {"StreamDescription": {"Shards": [first]}},
        {"StreamDescription": {"Shards": [first], "LastEvaluatedShardId": "a"}},
        {"StreamDescription": {"Shards": [second]}},
    ]
    streams.get_shard_iterator.return_value = {"ShardIterator": "i"}
    empty: dict[str, Any] = {"Records": [], "NextShardIterator": "i"}
    streams.get_records.side_effect = [
        {"Records": records(7), "NextShardIterator": "i"},
        empty,
        refused("ExpiredIteratorException"),
        empty,
        {"Records": records(8), "NextShardIterator": None},
    ]
    feed = Feed(stack)  # type: ignore[arg-type]
    assert feed.poll() == records(7)
    assert feed.poll() == records(8)
    asked = [call.kwargs for call in streams.get_shard_iterator.call_args_list]
    assert [(one["ShardId"], one["ShardIteratorType"], one.get("SequenceNumber")) for one in asked] == [
        ("a", "LATEST", None),
        ("b", "TRIM_HORIZON", None),
        ("a", "AFTER_SEQUENCE_NUMBER", "7"),
    ]


def test_a_table_without_a_stream_is_named(stack: FakeStack) -> None:
    stack.dynamodb.describe_table.return_value = {"Table": {}}
    with pytest.raises(LocalError, match="no stream"):
        Feed(stack).poll()  # type: ignore[arg-type]


def test_what_is_shown_of_a_change_holds_no_means_to_pay() -> None:
    view = payment_commands.view_of({"dynamodb": {"NewImage": to_item(payment())}})
    assert view is not None
    assert not {"payment_method", "fingerprint"} & view.keys()
    assert payment_commands.view_of({"dynamodb": {}}) is None
    assert payment_commands.view_of({"dynamodb": {"NewImage": {"transaction_id": {"S": "x"}}}}) is None


# Reconciling


def test_reconciling_goes_on_while_it_gets_on(payments: Run, stack: FakeStack, account: MagicMock) -> None:
    answers = [{"settled": 3, "left": 2}, {"redriven": 2}]
    stack.functions.invoke.side_effect = lambda **_asked: {"Payload": io.BytesIO(json.dumps(answers.pop(0)).encode())}
    came = payments("reconcile", "--env", "dev", "--yes", "--json")
    assert (came.status, came.json) == (0, {"settled": 3, "redriven": 2})
    answers = [{"unanswered": 1, "left": 2}]
    stuck = payments("reconcile", "--env", "dev", "--yes", "--older-than", "60", "--json")
    assert (stuck.status, stuck.json) == (3, {"unanswered": 1, "left": 2})
    asked = stack.functions.invoke.call_args.kwargs
    assert (asked["Qualifier"], json.loads(asked["Payload"])) == ("live", {"older_than_seconds": 60})


# Webhooks


def test_an_endpoint_is_tried_by_the_way_of_announcements(payments: Run, stack: FakeStack, account: MagicMock) -> None:
    stack.outputs["webhooks"] = {"shop": {"queue_url": "https://sqs/shop", "function_name": "payment-webhook-shop-dev"}}

    def lines(filterPattern: str, **_rest: object) -> dict[str, Any]:  # noqa: N803 - botocore's
        line = {"message": "delivered", "webhook_id": filterPattern.strip('"'), "status": 204}
        return {"events": [{"message": "START"}, {"message": json.dumps(line)}]}

    stack.client("logs").filter_log_events.side_effect = lines
    tried = payments("webhooks", "test", "shop", "--env", "dev", "--yes", "--json")
    assert (tried.status, tried.json["delivered"], tried.json["status"]) == (0, True, 204)
    sent = stack.client("sqs").send_message.call_args.kwargs
    event = json.loads(sent["MessageBody"])
    assert (sent["QueueUrl"], event["type"], event["id"]) == (
        "https://sqs/shop",
        "payment.test",
        tried.json["webhook_id"],
    )
    stack.client("logs").filter_log_events.side_effect = lambda **_rest: {"events": []}
    late = payments("webhooks", "test", "shop", "--env", "dev", "--yes", "--timeout", "0")
    assert late.status == 3
    assert "comes again by itself" in late.out
    unknown = payments("webhooks", "test", "nope", "--env", "dev")
    assert unknown.status == 1
    assert "There are: shop." in unknown.err


def test_an_announcement_that_was_given_up_is_named() -> None:
    event = {"specversion": "1.0", "id": "tx.3", "type": "payment.failed", "subject": "tx", "data": {"amount": "1.00"}}
    told = Letter.of(message(1, json.dumps(event))).summary()
    assert (told["transaction_id"], told["event"], told["detail"]) == ("tx", "payment.failed", "tx.3")


# The doctor


def sound(stack: FakeStack) -> MagicMock:
    """Make everything of a stack sound; return its API."""
    api = MagicMock(spec=Api, url="https://api", region="r", trusted=None)
    api.get.return_value = said(404, {})
    stack.client("sts").get_caller_identity.return_value = {"Account": "000000000000", "Arn": "arn:me"}
    stream = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    table = {"TableStatus": "ACTIVE", "StreamSpecification": stream, "DeletionProtectionEnabled": True}
    stack.dynamodb.describe_table.return_value = {"Table": table}
    recovery = {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}
    stack.dynamodb.describe_continuous_backups.return_value = {"ContinuousBackupsDescription": recovery}
    stack.dynamodb.get_paginator.return_value.paginate.return_value = [{"Count": 0}]
    stack.functions.get_function_configuration.return_value = {"Version": "7", "Runtime": "python3.13"}
    mapping = {"State": "Enabled", "EventSourceArn": "arn:aws:sqs:r:0:q", "UUID": "u"}
    stack.functions.get_paginator.return_value.paginate.return_value = [{"EventSourceMappings": [mapping]}]
    stack.client("sqs").get_queue_attributes.return_value = {"Attributes": {}}
    alarm = {"AlarmName": "a", "StateValue": "OK", "AlarmActions": [OUTPUTS["alarms_topic_arn"]]}
    stack.client("cloudwatch").get_paginator.return_value.paginate.return_value = [{"MetricAlarms": [alarm]}]
    stack.sns.list_subscriptions_by_topic.return_value = {"Subscriptions": [{}]}
    return api


def findings(stack: FakeStack, api: MagicMock, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return what is not well, by the check."""
    monkeypatch.setattr("ops.doctor.Api", lambda *_: MagicMock(get=lambda _id: said(403, {})))
    there = target.Target("dev", stack, api)  # type: ignore[arg-type]
    return {found.check: found.verdict for found in examine(there) if found.verdict != "ok"}


def test_a_sound_deployment_has_no_findings(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert findings(stack, sound(stack), monkeypatch) == {}


def set_return(stack: FakeStack, service: str, method: str, value: Any) -> None:
    getattr(stack.client(service), method).return_value = value


@pytest.mark.parametrize(
    ("service", "method", "value", "check", "verdict"),
    [
        ("sts", "get_caller_identity", {"Account": "1", "Arn": "arn"}, "credentials", "fail"),
        ("dynamodb", "describe_table", {"Table": {"TableStatus": "ACTIVE"}}, "table", "fail"),
        ("dynamodb", "describe_continuous_backups", {"ContinuousBackupsDescription": {}}, "recovery", "warn"),
        (
            "lambda",
            "get_function_configuration",
            {"Version": "7", "Runtime": "p", "State": "Failed"},
            "function relay",
            "fail",
        ),
        (
            "sqs",
            "get_queue_attributes",
            {"Attributes": {"ApproximateNumberOfMessages": "1"}},
            "dead letters of relay",
            "fail",
        ),
        (
            "sqs",
            "get_queue_attributes",
            {"Attributes": {"ApproximateNumberOfMessages": "1001"}},
            "queue of validator",
            "warn",
        ),
        ("sns", "list_subscriptions_by_topic", {"Subscriptions": []}, "who is told", "warn"),
    ],
)
def test_the_doctor_finds(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch, service: str, method: str, value: Any, check: str, verdict: str
) -> None:
    api = sound(stack)
    set_return(stack, service, method, value)
    assert findings(stack, api, monkeypatch)[check] == verdict


@pytest.mark.parametrize(
    ("service", "page", "check", "verdict"),
    [
        ("lambda", {"EventSourceMappings": []}, "source of relay", "fail"),
        ("lambda", {"EventSourceMappings": [{"State": "Disabled", "UUID": "u"}]}, "source of relay", "fail"),
        (
            "lambda",
            {"EventSourceMappings": [{"State": "Enabled", "LastProcessingResult": "PROBLEM: x"}]},
            "source of relay",
            "fail",
        ),
        ("dynamodb", {"Count": 1}, "open payments", "warn"),
        ("cloudwatch", {"MetricAlarms": []}, "alarms", "fail"),
        (
            "cloudwatch",
            {
                "CompositeAlarms": [
                    {"AlarmName": "a", "StateValue": "ALARM", "AlarmActions": [OUTPUTS["alarms_topic_arn"]]}
                ]
            },
            "alarm",
            "fail",
        ),
    ],
)
def test_the_doctor_reads_pages(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch, service: str, page: dict[str, Any], check: str, verdict: str
) -> None:
    api = sound(stack)
    stack.client(service).get_paginator.return_value.paginate.return_value = [page]
    assert findings(stack, api, monkeypatch)[check] == verdict


WITH_OPTIONS = {
    "webhooks": {
        "shop": {
            "dead_letter_queue_url": "https://sqs/d",
            "function_name": "payment-webhook-shop-dev",
            "queue_url": "https://sqs/q",
            "secret_name": "payment-webhook-shop-dev",
        }
    },
    "event_bus_name": "payment-events-dev",
    "event_bus_dlq_url": "https://sqs/bd",
    "event_bus_queue_url": "https://sqs/b",
}


def sound_options(stack: FakeStack) -> MagicMock:
    """Make a stack sound that has webhooks and a bus; return its API."""
    api = sound(stack)
    stack.outputs |= WITH_OPTIONS
    set_return(stack, "secretsmanager", "describe_secret", {"VersionIdsToStages": {"v1": ["AWSCURRENT"]}})
    set_return(stack, "pipes", "describe_pipe", {"CurrentState": "RUNNING"})
    return api


def test_the_doctor_looks_at_what_is_optional(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    api = sound_options(stack)
    monkeypatch.setattr("ops.doctor.Api", lambda *_: MagicMock(get=lambda _id: said(403, {})))
    found = {one.check: one.verdict for one in examine(target.Target("dev", stack, api))}  # type: ignore[arg-type]
    looked_at = {"function webhook-shop", "source of webhook-shop", "webhook shop", "event bus"}
    looked_at |= {"dead letters of webhook-shop", "dead letters of event-bus", "queue of event-bus"}
    assert {name: found.get(name) for name in looked_at} == dict.fromkeys(looked_at, "ok")
    stack.functions.get_paginator.return_value.paginate.assert_any_call(FunctionName="payment-webhook-shop-dev:live")
    stack.client("pipes").describe_pipe.assert_called_with(Name="payment-events-dev")


@pytest.mark.parametrize(
    ("service", "method", "value", "check"),
    [
        ("secretsmanager", "describe_secret", {}, "webhook shop"),
        (
            "secretsmanager",
            "describe_secret",
            {"VersionIdsToStages": {"v1": ["AWSCURRENT", "SWITCHED_OFF-v1"]}},
            "webhook shop",
        ),
        ("pipes", "describe_pipe", {"CurrentState": "START_FAILED", "StateReason": "its role"}, "event bus"),
    ],
)
def test_the_doctor_finds_an_option_that_fails(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch, service: str, method: str, value: Any, check: str
) -> None:
    api = sound_options(stack)
    set_return(stack, service, method, value)
    assert findings(stack, api, monkeypatch) == {check: "fail"}


def test_an_endpoint_that_is_on_again_is_sound(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label of the secret's last value says nothing of the new one."""
    api = sound_options(stack)
    stages = {"v1": ["AWSPREVIOUS", "SWITCHED_OFF-v1"], "v2": ["AWSCURRENT"]}
    set_return(stack, "secretsmanager", "describe_secret", {"VersionIdsToStages": stages})
    assert findings(stack, api, monkeypatch) == {}


def test_a_check_that_is_forbidden_fails_and_the_others_go_on(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = sound(stack)
    stack.client("cloudwatch").get_paginator.return_value.paginate.side_effect = refused(
        "AccessDenied", "DescribeAlarms"
    )
    stack.functions.invoke.side_effect = refused("AccessDeniedException", "Invoke")
    found = findings(stack, api, monkeypatch)
    assert found == {"alarms": "fail", "calling reconciler": "warn", "calling relay": "warn"}


@pytest.mark.parametrize("name", NEEDED)
def test_an_output_that_is_missing_is_named(stack: FakeStack, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    api = sound(stack)
    del stack.outputs[name]
    assert findings(stack, api, monkeypatch)["outputs"] == "fail"


def test_the_doctors_status_is_its_verdict(
    payments: Run, stack: FakeStack, account: MagicMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.doctor.Api", lambda *_: MagicMock(get=lambda _id: said(403, {})))
    account.get.return_value = sound(stack).get.return_value
    assert payments("doctor", "--env", "dev").status == 0
    set_return(stack, "sqs", "get_queue_attributes", {"Attributes": {"ApproximateNumberOfMessages": "1"}})
    told = payments("doctor", "--env", "dev")
    assert told.status == 3
    assert "payments dlq peek validator" in told.out
