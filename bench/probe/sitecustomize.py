"""Count the functions' AWS calls. Python imports this module by its name: bench.stack puts its folder on the path.

It uses botocore's own event hooks, so the functions run unchanged.
"""

import os

_FILE = os.environ.get("BENCH_CALLS")


def _count() -> None:
    import time  # noqa: PLC0415 - in the functions only; the server imports this file too
    from typing import Any  # noqa: PLC0415

    import botocore.handlers  # noqa: PLC0415

    function = os.environ["AWS_LAMBDA_FUNCTION_NAME"].split("-")[1]
    file = os.open(str(_FILE), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def on_call(params: dict[str, Any], model: Any, **_: Any) -> None:  # noqa: ANN401 - botocore's
        table = params.get("TableName", "-")
        entries = len(params.get("Entries", params.get("PublishBatchRequestEntries", "-")))
        os.write(file, f"{time.time():.3f} {function} {model.name} {table} {entries}\n".encode())

    botocore.handlers.BUILTIN_HANDLERS.append(("before-parameter-build", on_call))


if _FILE and "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    _count()
