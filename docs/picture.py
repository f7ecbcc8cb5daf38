"""Draw the architecture, as Mermaid, from the Terraform that builds it.

``python docs/picture.py`` writes the picture between the markers in README.md; with ``--check`` it only says whether
the picture there is the one that the code gives, and fails if it is not.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any, cast

import hcl2

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))
for _name in ("POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"):
    os.environ.setdefault(_name, "picture")

from payments.operations import OPERATIONS  # noqa: E402 - after the path

README = ROOT / "README.md"
BEGIN, END = "<!-- begin picture -->", "<!-- end picture -->"

# What a function is told about, by the expression that tells it: the node it points at.
TARGETS = {
    "local.table_name": "payments",
    "local.gateway_environment": "gateway",
    "local.announcements_arn": "announcements",
}
QUEUE = re.compile(r'module\.queue\["(\w+)"\]')


def locals_of(file: str) -> dict[str, Any]:
    """Return the ``locals`` of one Terraform file in the root, as python-hcl2 reads them."""
    merged: dict[str, Any] = {}
    for block in hcl2.loads((ROOT / file).read_text(encoding="utf-8"))["locals"]:
        merged |= cast("dict[str, Any]", block)
    return merged


def bare(text: str) -> str:
    """Strip the quotes that python-hcl2 leaves around a string."""
    return text.strip('"')


def edges() -> list[str]:
    """Return the picture's arrows in the order in which a payment meets them."""
    topology, operations = locals_of("functions.tf"), OPERATIONS
    drawn = [f'client -- "{operation.method} {operation.path}" --> api' for operation in operations]
    drawn += [f"api --> {name}" for name in dict.fromkeys(operation.function for operation in operations)]
    drawn += [f'{table} -- "stream" --> {bare(name)}' for table, name in topology["stream_consumers"].items()]
    for name, function in topology["functions"].items():
        if "schedule" in function:
            drawn.append(f"schedule --> {name}")
        told = str(function["environment"])
        pointed = [*QUEUE.findall(told), *(node for expression, node in TARGETS.items() if expression in told)]
        drawn += [f"{name} --> {node}" for node in pointed]
    for queue_name, consumer in topology["queue_consumers"].items():
        drawn.append(f"{queue_name} --> {bare(consumer)}")
        drawn.append(f'{queue_name} -. "given up" .-> {queue_name}_dlq')
    return drawn


def picture() -> str:
    """Return the Mermaid source of the picture."""
    topology = locals_of("functions.tf")
    nodes = [
        "client([client])",
        "api[API Gateway]",
        "payments[(payments table)]",
        "gateway{{payment gateway}}",
        "schedule([schedule])",
        "announcements[/announcements: SNS/]",
        *(f"{name}[{name}]" for name in topology["functions"]),
        *(f"{name}[[{name.replace('_', '-')} queue]]" for name in topology["queue_consumers"]),
        *(f"{name}_dlq[[its dead-letter queue]]" for name in topology["queue_consumers"]),
    ]
    lines = ["flowchart LR", *(f"  {line}" for line in [*nodes, *edges()])]
    return "\n".join([BEGIN, "```mermaid", *lines, "```", END])


def main() -> int:
    """Write or check the picture; return the process's exit status."""
    text = README.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN, 1)
    drawn = head + picture() + rest.split(END, 1)[1]
    if drawn == text:
        return 0
    if "--check" in sys.argv:
        sys.stderr.write("README.md: the picture is not what the Terraform says. Run: python docs/picture.py\n")
        return 1
    README.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
