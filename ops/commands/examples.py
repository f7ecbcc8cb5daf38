"""An example or two of each command, for its help."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

EXAMPLES = {
    "": ("pay 12.50 EUR", "show order-1001 --env prod", "doctor --env prod", "COMMAND --help"),
    "pay": ("pay 12.50 EUR", "pay 12.50 EUR --env prod --customer ada --method pm_1 --id order-1001"),
    "show": ("show order-1001 --env prod",),
    "list": ("list ada --limit 100 --env prod",),
    "watch": ("watch --customer ada", "watch --for 60 --json --env prod"),
    "refund": ("refund order-1001 --amount 5 --reason 'One came back' --env prod",),
    "dlq": ("dlq list --env prod", "dlq redrive validator --env prod --dry-run"),
    "dlq list": ("dlq list --env prod",),
    "dlq peek": ("dlq peek validator --limit 20 --env prod",),
    "dlq redrive": ("dlq redrive validator --env prod --dry-run", "dlq redrive validator --env prod"),
    "dlq purge": ("dlq purge validator --id MESSAGE_ID --save letters.jsonl --env prod",),
    "doctor": ("doctor --env prod",),
    "reconcile": ("reconcile order-1001 order-1002 --env prod", "reconcile --older-than 600 --env prod"),
    "compare": ("compare --day 2026-11-22 --env prod",),
    "restore": ("restore order-1001 --from payment-transactions-prod-restored --env prod --dry-run",),
    "stripe": ("stripe cancel-declined --env prod",),
    "stripe cancel-declined": (
        "stripe cancel-declined --env prod",
        "stripe cancel-declined --env prod --apply --after order-1001",
    ),
    "webhooks": ("webhooks test shop --env prod",),
    "webhooks test": ("webhooks test shop --env prod",),
    "console": ("console --port 4581",),
    "completion": ("completion bash",),
    "up": ("up", "up --port 4600 --gateway stripe"),
    "down": ("down",),
    "deploy": ("deploy --env dev", "deploy --env prod --yes"),
    "plan": ("plan --env prod",),
    "outputs": ("outputs --env prod",),
}


def add_examples(app: typer.Typer, group: str = "") -> None:
    """Let the help of an application and of each of its commands end with examples."""
    app.info.epilog = _epilog(group)
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        command.epilog = _epilog(f"{group} {name}".strip())
    for inner in app.registered_groups:
        if inner.typer_instance is not None:
            add_examples(inner.typer_instance, str(inner.name))


def _epilog(command: str) -> str:
    # An empty line starts a new line in a help text; a single line break does not.
    return "\n\n".join(["Examples:", *(f"payments {example}" for example in EXAMPLES[command])])
