"""A laptop's replacements for AWS: the archive provider's stand-in, the mirror, the server's messages."""

from __future__ import annotations

import http.client
import io
import json
import os
import random
import socket
import ssl
import subprocess
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local import EMBEDDED_PYTHON, ROOT, LocalError, layer, mirror
from local.iam import batch_statements, unseen_statements
from local.server import HOST, REGION, ROOT_KEY, EmbeddedAWS, free_port
from local.tls import AUTHORITY

if TYPE_CHECKING:
    from collections.abc import Iterator

PACK = (
    "import base64, json, sys; from pathlib import Path; from local.archive import archive, results;"
    "print(json.dumps(results(archive(Path(sys.argv[1]), sys.argv[2:], 0o644)) ))"
)


def packed(source: Path, *excludes: str) -> dict[str, str]:
    """Pack a folder as the stand-in does, with the Python that runs it."""
    said = subprocess.run(
        [str(EMBEDDED_PYTHON), "-c", PACK, str(source), *excludes], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    result: dict[str, str] = json.loads(said)
    return result


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    (folder / "b" / "deep").mkdir(parents=True)
    for name, text in {"z.py": "z = 1\n", "a.py": "a = 1\n", "b/deep/c.py": "c = 1\n"}.items():
        (folder / name).write_text(text)
    return folder


def test_the_zip_does_not_depend_on_the_machine(source: Path) -> None:
    before = packed(source, "**/__pycache__/**", "**/*.pyc")
    for path in source.rglob("*"):
        path.chmod(0o700)
        os.utime(path, (1, 1))
    cache = source / "b" / "__pycache__"
    cache.mkdir()
    (cache / "c.pyc").write_bytes(b"x")
    (source / "stray.pyc").write_bytes(b"x")
    assert packed(source, "**/__pycache__/**", "**/*.pyc") == before


def test_the_zip_changes_with_the_sources(source: Path) -> None:
    before = packed(source)
    (source / "a.py").write_text("a = 2\n")
    assert packed(source)["output_base64sha256"] != before["output_base64sha256"]


@pytest.mark.parametrize("glob", ["b/**", "b", "**/c.py", "*/deep/?.py", "b/deep/[a-c].py"])
def test_excludes(source: Path, glob: str) -> None:
    without = packed(source, glob)
    (source / "b" / "deep" / "c.py").unlink()
    assert packed(source) == without


def test_a_mirror_is_named_by_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / mirror.AWS).mkdir(parents=True)
    monkeypatch.setenv(mirror.VARIABLE, str(tmp_path))
    assert mirror.find_mirror() == tmp_path
    config = mirror.cli_config(tmp_path / "made")
    assert config
    text = config.read_text()
    assert f'path    = "{tmp_path}"' in text
    assert f'exclude = ["{mirror.AWS}", "{mirror.ARCHIVE}"]' in text


def test_without_a_mirror_the_message_names_the_folders_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(mirror.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(LocalError, match=mirror.VARIABLE) as raised:
        mirror.cli_config(tmp_path)
    assert str(tmp_path / "nowhere") in str(raised.value)


def test_a_registry_that_answers_needs_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(mirror.VARIABLE, raising=False)
    monkeypatch.setattr(mirror, "registry_answers", lambda: True)
    assert mirror.cli_config(tmp_path) is None


def test_a_busy_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalError, match=f"port {port} is taken.*PORT={port + 1}"):
            EmbeddedAWS(tmp_path, port=port).start()


def test_batch_calls_are_allowed_where_the_call_is_and_nowhere_else() -> None:
    policy = {
        "Statement": [
            {
                "Sid": "Send",
                "Effect": "Allow",
                "Action": ["sqs:SendMessage"],
                "Resource": ["q"],
                "Condition": {"a": "b"},
            },
            {"Sid": "Read", "Effect": "Allow", "Action": ["dynamodb:GetItem"], "Resource": ["t"]},
        ]
    }
    assert batch_statements(policy) == [
        {"Effect": "Allow", "Action": ["sqs:SendMessageBatch"], "Resource": ["q"], "Condition": {"a": "b"}}
    ]


def test_a_condition_that_the_embedded_aws_cannot_see_is_left_out_and_no_other() -> None:
    unseen = {"StringLike": {"secretsmanager:VersionStage": ["OFF-*"]}}
    other = {"StringEquals": {"kms:ViaService": ["s"]}}
    label = {"Effect": "Allow", "Action": ["secretsmanager:UpdateSecretVersionStage"], "Resource": ["s"]}
    read = {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": ["s"]}
    deny = {"Effect": "Deny", "Action": ["secretsmanager:UpdateSecretVersionStage"], "Resource": ["s"]}
    policy = {
        "Statement": [
            label | {"Sid": "Label", "Condition": unseen},
            label | {"Condition": unseen | other},
            read | {"Condition": other},
            read,
            deny | {"Condition": unseen},
        ]
    }
    assert unseen_statements(policy) == [label, label | {"Condition": other}]


# The embedded AWS.

TELL = """
import os, boto3
def handler(event, context):
    for record in event["Records"]:
        name = record["dynamodb"]["Keys"]["name"]["S"]
        boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=name)
"""


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAWS]:
    with EmbeddedAWS(tmp_path_factory.mktemp("embedded"), auth=False, persist=True) as aws:
        yield aws


def client(aws: EmbeddedAWS, service: str, **options: Any) -> Any:
    make: Any = boto3.client
    return make(
        service,
        config=Config(**options),
        endpoint_url=aws.url,
        region_name=REGION,
        aws_access_key_id=ROOT_KEY,
        aws_secret_access_key=ROOT_KEY,
        verify=str(AUTHORITY),
    )


def heard(sqs: Any, queue: str, wanted: str) -> bool:
    """Receive messages until this one arrives."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for message in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", []):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            if message["Body"] == wanted:
                return True
    return False


def test_a_connection_outlives_its_thousandth_request(embedded: EmbeddedAWS) -> None:
    connection = http.client.HTTPSConnection(
        HOST, embedded.port, timeout=10, context=ssl.create_default_context(cafile=str(AUTHORITY))
    )
    connection.connect()
    first = connection.sock
    for _ in range(1100):
        connection.request("GET", "/_ministack/health")
        connection.getresponse().read()
    assert connection.sock is first
    connection.close()


def make_table(dynamodb: Any, name: str, **options: Any) -> dict[str, Any]:
    """Create a table of names, and return its description."""
    made: dict[str, Any] = dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        **options,
    )
    return made["TableDescription"]  # type: ignore[no-any-return]


def make_function(functions: Any, name: str, code: str, **options: Any) -> None:
    """Create a function from a module's text."""
    packed_code = io.BytesIO()
    with zipfile.ZipFile(packed_code, "w") as archive:
        archive.writestr(f"{name}.py", code)
    functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=f"arn:aws:iam::000000000000:role/{name}",
        Handler=f"{name}.handler",
        Code={"ZipFile": packed_code.getvalue()},
        **options,
    )


def test_tables_queues_and_streams_outlast_a_restart(embedded: EmbeddedAWS) -> None:
    table, sqs, functions = (client(embedded, name) for name in ("dynamodb", "sqs", "lambda"))
    queue = sqs.create_queue(QueueName="names")["QueueUrl"]
    made = make_table(table, "named", StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    make_function(functions, "tell", TELL, Environment={"Variables": {"QUEUE": queue}})
    functions.create_event_source_mapping(
        EventSourceArn=made["LatestStreamArn"], FunctionName="tell", StartingPosition="TRIM_HORIZON"
    )
    table.put_item(TableName="named", Item={"name": {"S": "before"}})
    assert heard(sqs, queue, "before")
    sqs.send_message(QueueUrl=queue, MessageBody="kept")
    embedded.restart()
    assert heard(sqs, queue, "kept")
    # Records that were read are read again, and later ones are not skipped.
    assert heard(sqs, queue, "before")
    table.put_item(TableName="named", Item={"name": {"S": "after"}})
    assert heard(sqs, queue, "after")
    assert table.scan(TableName="named")["Count"] == 2


SLOW = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def handler(event, context):
    time.sleep(30)
"""


def write(table: Any, writer: int, answered: list[str], over: threading.Event) -> None:
    """Write items until ``over`` is set; record those that were answered."""
    number = 0
    while not over.is_set():
        name = f"{writer}-{number}"
        with suppress(BotoCoreError, ClientError):
            table.put_item(TableName="answered", Item={"name": {"S": name}})
            answered.append(name)
        number += 1


def test_nothing_that_was_answered_is_forgotten_by_a_restart(embedded: EmbeddedAWS) -> None:
    """Not even if a slow function delays the server's end."""
    table, functions = (
        client(embedded, name, retries={"total_max_attempts": 1}, read_timeout=40) for name in ("dynamodb", "lambda")
    )
    make_table(table, "answered")
    make_function(functions, "slow", SLOW, Timeout=60)
    answered: list[str] = []
    over = threading.Event()

    def call() -> None:
        with suppress(BotoCoreError, ClientError):
            functions.invoke(FunctionName="slow")

    threads = [threading.Thread(target=write, args=[table, number, answered, over]) for number in range(3)]
    threads += [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    before = len(answered)
    began = time.monotonic()
    embedded.restart()
    took = time.monotonic() - began
    time.sleep(1)
    over.set()
    for thread in threads:
        thread.join()
    pages = table.get_paginator("scan").paginate(TableName="answered")
    kept = {item["name"]["S"] for page in pages for item in page["Items"]}
    assert 0 < before < len(answered)
    # It does not wait for the function's thirty seconds: writes that were answered meanwhile would be lost.
    assert took < 20
    assert {name for name in answered if name not in kept} == set()


# The layer


def test_the_layer_is_for_the_runtime_that_an_environment_asks_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "far.tfvars"
    monkeypatch.setattr(layer, "variables", lambda _env: file)
    monkeypatch.setattr(layer, "ROOT", tmp_path)
    # The file and the order do not matter.
    (tmp_path / "variables-functions.tf").write_text("""variable "runtime" {
      type = object({ name = optional(string, "python3.13"), architecture = optional(string, "arm64") })
    }""")
    file.write_text('environment_suffix = "far"\n')
    assert layer.target("far") == ("arm64", "3.13")
    file.write_text('runtime = { architecture = "x86_64" }\n')
    assert layer.target("far") == ("x86_64", "3.13")
    assert layer.target() == ("arm64", "3.13")
    file.write_text('runtime = {\n  architecture = "x86_64"\n  name = "python3.11"\n}\n')
    assert layer.target("far") == ("x86_64", "3.11")
    file.write_text('runtime = { architecture = "sparc" }\n')
    with pytest.raises(LocalError, match=r"runtime\.architecture must be one of .*, not 'sparc'"):
        layer.target("far")
    file.write_text("runtime = {")
    with pytest.raises(LocalError, match=r"far\.tfvars cannot be read"):
        layer.target("far")


def test_a_layer_that_cannot_be_built_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho 'error: no such package' >&2\nexit 2\n")
    uv.chmod(0o755)
    monkeypatch.setattr(layer, "UV", uv)
    monkeypatch.setattr(layer, "target", lambda _env: ("arm64", "3.13"))
    assert layer.main("dev") == 1
    assert capfd.readouterr().err.splitlines() == [
        "error: no such package",
        "the functions' layer could not be built: uv's message is above. Fix the cause, then repeat the command.",
    ]


def test_it_listens_on_its_own_port_only(embedded: EmbeddedAWS) -> None:
    """Several start at once in the tests, and would meet at any port that they share."""
    connections = psutil.Process(embedded.pid).net_connections("tcp")
    assert {one.laddr[1] for one in connections if one.status == psutil.CONN_LISTEN} == {embedded.port}


def test_no_outgoing_connection_gets_a_servers_port() -> None:
    """The port is free, but the server listens only seconds later."""
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(limits.read_text().split()[0]) if limits.exists() else 49152
    assert all(1024 < free_port() < first for _ in range(100))


def test_two_processes_of_one_seed_choose_two_ports() -> None:
    state = random.getstate()
    chosen = set()
    for _ in range(3):
        random.setstate(state)
        chosen.add(free_port())
    assert len(chosen) > 1
