"""The reviewed list of each function's imports at the start: each addition makes every start slower."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import coldstart, offline
from tests.support.plan import WAY_OUT as REVIEW

WAY_OUT = "Import it inside the function that uses it, or not at all. Otherwise measure it (make bench) and list it."

THIRD_PARTY = """
aws_lambda_powertools botocore dateutil jmespath msgspec six standardwebhooks typing_extensions urllib3
"""
# Python's own modules, in any version that the functions run on. botocore and Powertools import all of them but gc.
STANDARD = """
array ast atexit base64 binascii bisect bz2 calendar collections concurrent configparser contextlib contextvars copy
copyreg csv dataclasses datetime decimal dis email enum errno fcntl fnmatch functools gc genericpath getpass glob gzip
hashlib heapq hmac http importlib inspect ipaddress itertools json keyword linecache locale logging lzma math
mimetypes ntpath numbers opcode operator os pathlib pkgutil platform posixpath pwd pyexpat queue quopri random re
reprlib select selectors shlex shutil signal socket ssl stat string struct subprocess tempfile termios textwrap
threading token tokenize traceback types typing urllib uuid warnings weakref xml zipfile zlib
"""
POWERTOOLS = {"exceptions", "logging", "metrics", "package_logger", "shared", "tracing", "utilities", "warnings"}

# Of ours, by function.
REVIEWED = Path(__file__).with_name("imports.yaml")
ROOMS = {"api", "domain", "gateways", "gateways.stripe", "handlers", "runtime", "table", "usecases", "webhooks"}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> coldstart.Places:
    folder = tmp_path_factory.mktemp("start")
    return coldstart.prepare(folder / "places", compiled=False)


def ours(function: str, places: coldstart.Places) -> list[str]:
    """Return the modules of ours that a function's start imports, without the rooms that they are in."""
    names = {name.removeprefix("payments.") for name in coldstart.modules(function, places) if "payments." in name}
    return sorted(name for name in names - ROOMS if name != f"handlers.{function}")


def test_each_function_imports_of_ours_what_was_reviewed(places: coldstart.Places) -> None:
    imported = {function: ours(function, places) for function in offline.FUNCTIONS}
    if os.environ.get("UPDATE_INVENTORY"):
        REVIEWED.write_text(yaml.safe_dump(imported, default_flow_style=None, width=120), encoding="utf-8")
    reviewed: Any = yaml.safe_load(REVIEWED.read_text(encoding="utf-8"))
    assert imported == reviewed, f"Import it inside the function that uses it, or not at all. {REVIEW}"


@pytest.mark.parametrize("function", offline.FUNCTIONS)
def test_nothing_new_is_imported(function: str, places: coldstart.Places) -> None:
    imported = coldstart.modules(function, places)
    top = coldstart.top_level(function, places) - {"payments"}
    assert {name for name in top if not name.startswith("_")} - {*THIRD_PARTY.split(), *STANDARD.split()} == set(), (
        WAY_OUT
    )
    assert {name for name in top if name not in sys.stdlib_module_names} <= {*THIRD_PARTY.split()}, WAY_OUT
    package = "aws_lambda_powertools."
    assert {name.split(".")[1] for name in imported if name.startswith(package)} - POWERTOOLS == set(), WAY_OUT


@pytest.mark.parametrize(
    "unwanted",
    [
        "asyncio",
        "boto3",
        "botocore.docs.bcdoc.restdoc",
        "aws_lambda_powertools.utilities.batch",
        "aws_lambda_powertools.utilities.data_classes",
        "aws_lambda_powertools.utilities.idempotency",
        "pydantic",
    ],
)
def test_removed_imports_stay_removed(unwanted: str, places: coldstart.Places) -> None:
    assert unwanted not in coldstart.modules("processor", places)


def test_a_started_function_looks_for_garbage_again_but_not_among_what_it_started_with(
    places: coldstart.Places,
) -> None:
    said = coldstart.run(
        f"{coldstart.import_of('validator')}\nimport gc\nprint(gc.isenabled(), gc.get_freeze_count())", places
    )
    enabled, frozen = said.stdout.split()
    assert enabled == "True"
    assert int(frozen) > 10_000


def test_a_client_without_help_texts_still_calls(places: coldstart.Places) -> None:
    """The stand-in has every name that botocore asks for, and does not disturb modules imported before it."""
    code = (
        "from payments.runtime import client\n"
        "client = client.connect('dynamodb')\n"
        "print(client.meta.region_name, client.meta.endpoint_url, client.can_paginate('scan'))\n"
        "import botocore.docs.docstring as stand_in\n"
        "print(stand_in.AnythingAtAll().__class__.__name__)"
    )
    assert coldstart.run(code, places).stdout.split() == [
        "ap-southeast-1", "https://dynamodb.ap-southeast-1.amazonaws.com", "True", "AnythingAtAll",
    ]  # fmt: skip
