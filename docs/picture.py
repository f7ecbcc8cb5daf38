"""Draw the architecture, as Mermaid, from the Terraform that builds it.

``python docs/picture.py`` writes the pictures between the markers in README.md and docs/architecture.md. With
``--check`` it writes nothing, and fails if a picture is out of date.
"""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]
for _name in ("POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"):
    os.environ.setdefault(_name, "picture")

from local.hcl import Module  # noqa: E402 - after the path
from payments.api.operations import OPERATIONS  # noqa: E402
from payments.domain.lifecycle import REFUND_TRANSITIONS, TRANSITIONS, Status, Transition  # noqa: E402

README = ROOT / "README.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- begin picture -->", "<!-- end picture -->"
STATES = ("<!-- begin states -->", "<!-- end states -->")
FUNCTIONS = ("<!-- begin functions -->", "<!-- end functions -->")

# The node that an expression in a function's environment points at.
TARGETS = {
    "local.table_name": "payments",
    "local.announcements_arn": "announcements",
}
TERRAFORM = Module(ROOT)
QUEUE = re.compile(r'module\.queue\["(\w+)"\]')


def edges() -> list[str]:
    """Return the picture's arrows in the order in which a payment meets them."""
    drawn = [f'client -- "{operation.method} {operation.path}" --> api' for operation in OPERATIONS]
    drawn += [f"api --> {name}" for name in dict.fromkeys(operation.function for operation in OPERATIONS)]
    drawn += [f'{table} -- "stream" --> {name}' for table, name in TERRAFORM.local("stream_consumers").items()]
    for name, function in TERRAFORM.local("functions").items():
        if "schedule" in function:
            drawn.append(f"schedule --> {name}")
        environment = str(function["environment"])
        pointed = [
            *QUEUE.findall(environment),
            *(node for expression, node in TARGETS.items() if expression in environment),
        ]
        drawn += [f"{name} --> {node}" for node in pointed]
        drawn += [f"{name} --> gateway" for caller in TERRAFORM.local("gateway_callers") if caller == name]
    for queue_name, consumer in TERRAFORM.local("queue_consumers").items():
        drawn.append(f"{queue_name} --> {consumer}")
        drawn.append(f'{queue_name} -. "failed too often" .-> {queue_name}_dlq')
    return drawn


def picture() -> str:
    """Return the Mermaid source of the picture."""
    nodes = [
        "client([client])",
        "api[API Gateway]",
        "payments[(payments table)]",
        "gateway{{payment gateway}}",
        "schedule([schedule])",
        "announcements[/announcements: SNS/]",
        *(f"{name}[{name}]" for name in TERRAFORM.local("functions")),
        *(f"{name}[[{name.replace('_', '-')} queue]]" for name in TERRAFORM.local("queue_consumers")),
        *(f"{name}_dlq[[its dead-letter queue]]" for name in TERRAFORM.local("queue_consumers")),
    ]
    lines = ["flowchart LR", *(f"  {line}" for line in [*nodes, *edges()])]
    return "\n".join([BEGIN, "```mermaid", *lines, "```", END])


def states() -> str:
    """Return the Mermaid sources of a payment's life, and of a refund's."""
    return "\n".join([STATES[0], _states(TRANSITIONS), "", "A refund:", "", _states(REFUND_TRANSITIONS), STATES[1]])


def _states(transitions: dict[str, Transition]) -> str:
    lines = ["stateDiagram-v2", "  [*] --> validated"]
    lines += [
        f"  {leaves} --> {transition.reaches}: {event}"
        for event, transition in transitions.items()
        for leaves in sorted(transition.leaves, key=list(Status).index)
    ]
    return "\n".join(["```mermaid", *lines, "```"])


def functions() -> str:
    """Return a table of the functions: what each is for, what calls it, what it may do."""
    rows = ["| function | what it does | called by | allowed |", "|---|---|---|---|"]
    for name, function in TERRAFORM.local("functions").items():
        callers = [f"`{one.method} {one.path}`" for one in OPERATIONS if one.function == name]
        callers += [
            f"the {table} table's stream" for table, to in TERRAFORM.local("stream_consumers").items() if to == name
        ]
        queues = [queue for queue, to in TERRAFORM.local("queue_consumers").items() if to == name]
        callers += [f"the {queue.replace('_', '-')} queue" for queue in queues]
        if "schedule" in function:
            callers += ["a schedule", "`payments reconcile`"]
        # A statement that is only a reference is the one for the keys.
        own = [one for one in function["statements"].values() if isinstance(one, dict)]
        allowed = sorted({f"`{action}`" for statement in own for action in statement["actions"]})
        rows.append(f"| {name} | {function['description']} | {', '.join(callers)} | {', '.join(allowed)} |")
    return "\n".join([FUNCTIONS[0], *rows, FUNCTIONS[1]])


def fresh(text: str) -> str:
    """Return a page with all its pictures drawn again."""
    for (begin, end), draw in (((BEGIN, END), picture), (STATES, states), (FUNCTIONS, functions)):
        if begin in text:
            head, rest = text.split(begin, 1)
            text = head + draw() + rest.split(end, 1)[1]
    return text


def main() -> int:
    """Write or check the pictures; return the process's exit status."""
    for page in (README, ARCHITECTURE):
        text = page.read_text(encoding="utf-8")
        drawn = fresh(text)
        if drawn == text:
            continue
        if "--check" in sys.argv:
            sys.stderr.write(f"{page.name}: a picture is out of date. Run: python docs/picture.py\n")
            return 1
        page.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
