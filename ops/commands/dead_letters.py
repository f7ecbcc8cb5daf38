"""Dead letters: list, peek, redrive, purge."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from local import LocalError
from local.environments import LOCAL
from ops import target
from ops.commands.options import BAD, AsJson, DryRun, Environment, Yes, ask
from ops.dead_letters import RELAY, Letter, QueueClient, StackQueue, dead_letter_queues
from ops.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(no_args_is_help=True, help="The dead-letter queues: list, peek, redrive, purge.")

Name = Annotated[
    str,
    typer.Argument(
        metavar="QUEUE", help="validator, processor, relay, webhook-ENDPOINT or event-bus: see `payments dlq list`."
    ),
]
_SHOWN = ("sent_at", "message_id", "transaction_id", "event", "detail", "receives")


def add_to(parent: typer.Typer) -> None:
    """Register the commands."""
    parent.add_typer(app, name="dlq")


def _queue(name: str, env: str) -> tuple[QueueClient, StackQueue]:
    client = QueueClient(target.resolve(env).stack)
    return client, client.queue(name)


@app.command("list")
def list_queues(env: Environment = LOCAL, as_json: AsJson = False) -> int:
    """Count the messages in each dead-letter queue. Exit status 3 if there are any."""
    output, client = Output(as_json), QueueClient(target.resolve(env).stack)
    counts = {name: client.counts(queue) for name, queue in dead_letter_queues(client.stack).items()}
    if as_json:
        output.json({name: asdict(count) for name, count in counts.items()})
    else:
        output.table(
            ("queue", "messages", "in flight"),
            [(name, count.waiting, count.in_flight) for name, count in counts.items()],
        )
    return BAD if any(count.waiting or count.in_flight for count in counts.values()) else 0


@app.command()
def peek(
    queue: Name,
    limit: Annotated[int, typer.Option(min=1, help="The most to show.")] = 10,
    bodies: Annotated[bool, typer.Option("--bodies", help="Show the whole messages. They hold payments.")] = False,
    env: Environment = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Show messages without removing them."""
    output = Output(as_json)
    client, dlq = _queue(queue, env)
    with output.progress.step(f"Receiving from {queue}") as step:
        letters = client.peek(dlq, limit)
        step.result = f"{len(letters)} messages"
    if as_json:
        output.json([letter.summary() | ({"body": letter.body} if bodies else {}) for letter in letters])
        return
    output.table(_SHOWN, [[letter.summary()[name] for name in _SHOWN] for letter in letters])
    if bodies:
        for letter in letters:
            output.line(letter.body)


@app.command()
def redrive(
    queue: Name,
    env: Environment = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Send a queue's messages to their source queue again. Fix the cause first, or they come straight back.

    It is safe: a payment is charged only once, however often its message arrives. The relay's messages name stream
    records, which the relay gets again. Exit status 3 if some messages stayed.
    """
    output = Output(as_json)
    client, dlq = _queue(queue, env)
    waiting = client.counts(dlq).waiting
    to = "the relay" if queue == RELAY else str(dlq.source).rpartition("/")[2]
    if dry_run or not waiting:
        planned = {"queue": queue, "messages": waiting, "to": to, "dry_run": dry_run, "sent": 0, "kept": waiting}
        if as_json:
            output.json(planned)
        else:
            output.line(f"would send {waiting} messages to {to}" if waiting else f"{queue} is empty")
        return 0
    ask(f"Send {waiting} messages of {queue} to {to}, in {env}?", yes=yes)
    with output.progress.step(f"Sending {waiting} messages") as step:
        counts = (client.redrive_relay if queue == RELAY else client.redrive)(dlq, step.progress)
        step.result = f"sent {counts['sent']}" + (f", {counts['kept']} stayed" if counts["kept"] else "")
    if as_json:
        output.json({"queue": queue, "messages": waiting, "to": to, "dry_run": False, **counts})
    else:
        output.line(f"sent {counts['sent']} of {waiting} messages of {queue} to {to}")
        if counts["kept"]:
            output.line(f"{counts['kept']} stayed. Look at them: payments dlq peek {queue}")
    return BAD if counts["kept"] else 0


@app.command()
def purge(
    queue: Name,
    message_ids: Annotated[list[str] | None, typer.Option("--id", help="Only this message. May be repeated.")] = None,
    save: Annotated[Path | None, typer.Option(help="First append the messages to this file, as JSON lines.")] = None,
    env: Environment = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Delete messages that can never be processed. Their work stays undone, so try redrive first."""
    output = Output(as_json)
    client, dlq = _queue(queue, env)
    waiting = client.counts(dlq).waiting
    wanted = set(message_ids or [])
    what = f"{len(wanted)} chosen messages" if wanted else f"all {waiting} messages"
    if dry_run or not waiting:
        if as_json:
            output.json({"queue": queue, "messages": waiting, "dry_run": dry_run, "deleted": 0})
        else:
            output.line(f"would delete {what} of {queue}" if waiting else f"{queue} is empty")
        return 0
    ask(f"Permanently delete {what} of {queue} in {env}?", yes=yes)
    if save:
        _check_writable(save)
    with output.progress.step(f"Deleting {what}") as step:
        deleted = 0
        for letters in _chosen(client, dlq, waiting, wanted):
            if save:
                _save(save, letters)
            deleted += client.delete(dlq, letters)
            step.progress(deleted, len(wanted) or waiting)
        step.result = f"deleted {deleted}"
    if as_json:
        output.json({"queue": queue, "messages": waiting, "dry_run": False, "deleted": deleted})
    else:
        output.line(f"deleted {deleted} messages of {queue}" + (f"; a copy is in {save}" if save and deleted else ""))
    return BAD if deleted < (len(wanted) or waiting) else 0


def _chosen(client: QueueClient, queue: StackQueue, limit: int, wanted: set[str]) -> Iterator[list[Letter]]:
    """Yield the messages with these ids, or all of them; put the others back at the end."""
    others: list[Letter] = []
    try:
        for letters in client.receive(queue, limit):
            chosen = [letter for letter in letters if not wanted or letter.message_id in wanted]
            others += [letter for letter in letters if letter not in chosen]
            if chosen:
                yield chosen
    finally:
        client.put_back(queue, others)


def _check_writable(file: Path) -> None:
    try:
        file.touch(mode=0o600)
    except OSError as error:
        raise LocalError(f"{file} cannot be written ({error.strerror}). Nothing was deleted.") from error


def _save(file: Path, letters: list[Letter]) -> None:
    """Append messages to a file before they are deleted."""
    lines = [{**_described(letter), "body": letter.body} for letter in letters]
    with file.open("a", encoding="utf-8") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)


def _described(letter: Letter) -> dict[str, Any]:
    return {"message_id": letter.message_id, "sent_at": letter.sent_at, "attributes": letter.attributes}
