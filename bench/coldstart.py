"""How long a function takes to start: its imports and its client, compared with the start of most samples.

Each start is a fresh process of the functions' Python, without site-packages (-S), on a path as on Lambda: the
functions' code, the layer, then the runtime's own packages (boto3 and what it needs). The baseline finds boto3 in that
same last folder. Baseline and function take turns, so that other work on the machine slows both equally. The result is
the median of the ratios of the pairs.

Everything is byte-compiled. Lambda's runtime comes byte-compiled, our zip and layer do not: ``as_shipped`` leaves out
their bytecode.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from bench.offline import ENVIRONMENT, FUNCTIONS
from local import BUILD, EMBEDDED_PYTHON, ROOT

if TYPE_CHECKING:
    from pathlib import Path

BASELINE = 'import boto3, json\nboto3.resource("dynamodb")\nboto3.client("sqs")'
# The packages that Lambda's Python runtime adds to Python.
RUNTIME_PACKAGES = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3")
_TIMED = (
    "import time\nstarted = time.process_time(), time.perf_counter()\n{}\n"
    "print((time.process_time() - started[0]) * 1000, (time.perf_counter() - started[1]) * 1000)"
)


class Start(NamedTuple):
    """A function's start: medians of processor time in ms, and of the pairs' ratios, by processor and by wall clock."""

    milliseconds: float
    baseline_milliseconds: float
    ratio: float
    wall_ratio: float


class Places(NamedTuple):
    """Where the three parts of the path are."""

    functions: Path
    layer: Path
    runtime: Path


def prepare(folder: Path = BUILD / "bench-start", *, compiled: bool = True) -> Places:
    """Copy the functions' code and the layer, link the runtime's packages, and return the three folders."""
    shutil.rmtree(folder, ignore_errors=True)
    places = Places(folder / "functions", folder / "layer", folder / "runtime")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", places.functions, ignore=ignored)
    shutil.copytree(BUILD / "layer-local" / "python", places.layer, ignore=ignored)
    places.runtime.mkdir()
    (site,) = EMBEDDED_PYTHON.parent.parent.glob("lib/python3*/site-packages")
    for name in RUNTIME_PACKAGES:
        if name.endswith(".py"):
            shutil.copy(site / name, places.runtime)  # Python looks for its bytecode in the same folder
        else:
            (places.runtime / name).symlink_to(site / name)
    wanted = [places.runtime, *((places.functions, places.layer) if compiled else ())]
    # The runtime's folders are links, which compileall does not follow by itself.
    folders = [str(path.resolve()) for where in wanted for path in where.iterdir()]
    subprocess.run([str(EMBEDDED_PYTHON), "-m", "compileall", "-q", *folders], check=True)  # noqa: S603
    return places


def environment(places: Places) -> dict[str, str]:
    """Return the environment that Lambda gives a function, so that importing it also wires it."""
    return {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(map(str, places)),
        "AWS_LAMBDA_FUNCTION_NAME": "payment-bench",
        **ENVIRONMENT,
    }


def run(code: str, places: Places, *options: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process of the functions' Python. It writes no bytecode: Lambda's file system is read-only."""
    command = [str(EMBEDDED_PYTHON), "-S", "-s", "-B", *options, "-c", code]
    return subprocess.run(command, env=environment(places), check=True, capture_output=True, text=True)  # noqa: S603


def _milliseconds(code: str, places: Places) -> tuple[float, float]:
    processor, wall = run(_TIMED.format(code), places).stdout.splitlines()[-1].split()
    return float(processor), float(wall)


def import_of(function: str) -> str:
    """Return the statement that starts a function."""
    return f"import payments.handlers.{function}"


def measure(pairs: int, *, compiled: bool = True, functions: tuple[str, ...] = FUNCTIONS) -> dict[str, Start]:
    """Measure each function's start."""
    places = prepare(compiled=compiled)
    found = {}
    for function in functions:
        code = import_of(function)
        # Once beforehand, to fill the disk's cache.
        _milliseconds(BASELINE, places)
        _milliseconds(code, places)
        taken = [(_milliseconds(BASELINE, places), _milliseconds(code, places)) for _ in range(pairs)]
        found[function] = Start(
            statistics.median(own for _, (own, _) in taken),
            statistics.median(baseline for (baseline, _), _ in taken),
            statistics.median(own / baseline for (baseline, _), (own, _) in taken),
            statistics.median(own / baseline for (_, baseline), (_, own) in taken),
        )
    return found


def modules(function: str, places: Places) -> list[str]:
    """Return the modules that a function's start imports, sorted by name."""
    # Includes modules that an imported module has put into sys.modules.
    return run(f"{import_of(function)}\nimport sys\nprint(*sorted(sys.modules))", places).stdout.split()


def top_level(function: str, places: Places) -> set[str]:
    """Return the top-level names that a function's start imports beyond those of a bare Python."""
    bare = set(run("import sys\nprint(*sys.modules)", places).stdout.split())
    return {name.partition(".")[0] for name in modules(function, places) if name not in bare}


# The owners of the modules that a start imports. The first name that matches counts.
_OWNERS = (
    "payments",
    "aws_lambda_powertools",
    "msgspec",
    "botocore",
    "urllib3",
    "jmespath",
    "dateutil",
    "http",
    "email",
)


def profile(function: str, places: Places) -> dict[str, float]:
    """Return each owner's share of a function's start, from Python's own import profile.

    The client is created while the handler's module is imported; that share is listed as ``creating the client``.
    """
    # The least of several runs, since other work on the machine only adds time.
    least: dict[str, int] = {}
    for _ in range(5):
        for line in run(import_of(function), places, "-X", "importtime").stderr.splitlines()[1:]:
            own, _, name = line.removeprefix("import time:").split("|")
            least[name.strip()] = min(int(own), least.get(name.strip(), int(own)))
    parts: dict[str, float] = {}
    for module, taken in least.items():
        owner = next((known for known in _OWNERS if module.partition(".")[0] == known), "the rest of Python")
        if module == f"payments.handlers.{function}":
            owner = "creating the client"
        parts[owner] = parts.get(owner, 0) + taken
    whole = sum(parts.values())
    return dict(sorted(((name, part / whole) for name, part in parts.items()), key=lambda part: -part[1]))
