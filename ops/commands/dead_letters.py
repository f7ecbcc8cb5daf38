"""Dead letters: see what was given up, and send it on its way again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from local import LocalError
from local.environments import LOCAL
from ops import target
from ops.commands.options import BAD, AsJson, DryRun, Environment, Yes, ask
from ops.dead_letters import RELAY, Letter, QueueClient, StackQueue, dead_letter_queues
from ops.output import Output

app = typer.Typer(no_args_is_help=True, help="The dead-letter queues: list, peek, redrive, purge.")

Name = Annotated[
    str,
    typer.Argument(
        metavar="QUEUE", help="validator, processor, relay, webhook-ENDPOINT or event-bus, as `payments dlq list` says."
    ),
]
_SHOWN = ("sent_at", "message_id", "transaction_id", "event", "detail", "receives")


def add_to(parent: typer.Typer) -> None:
    """Register the commands."""
    parent.add_typer(app, name="dlq")


def _there(name: str, env: str) -> tuple[QueueClient, StackQueue]:
    client = QueueClient(target.resolve(env).stack)
    return client, client.queue(name)


@app.command("list")
def list_queues(env: Environment = LOCAL, as_json: AsJson = False) -> int:
    """Say how many messages each dead-letter queue holds. Exit status 3 where there are any."""
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
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 10,
    bodies: Annotated[
        bool, typer.Option("--bodies", help="With the messages as they are: they hold payments.")
    ] = False,
    env: Environment = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Look at messages and put them back."""
    output = Output(as_json)
    client, there = _there(queue, env)
    with output.progress.step(f"Receiving from {queue}") as step:
        letters = client.peek(there, limit)
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
    """Send a queue's messages on their way again. Mend the cause first, or they come straight back.

    It is safe: a payment is charged once however often its message comes. The relay's letters name stream records: the
    relay is given those again. Exit status 3 where some were kept.
    """
    output = Output(as_json)
    client, there = _there(queue, env)
    waiting = client.counts(there).waiting
    to = "the relay, by the stream records that they name" if queue == RELAY else str(there.source).rpartition("/")[2]
    if dry_run or not waiting:
        told = {"queue": queue, "messages": waiting, "to": to, "dry_run": dry_run, "sent": 0, "kept": waiting}
        if as_json:
            output.json(told)
        else:
            output.line(f"{waiting} messages would be sent to {to}" if waiting else f"{queue}: nothing to send")
        return 0
    ask(f"Send {waiting} messages of {queue} to {to}, in {env}?", yes=yes)
    with output.progress.step(f"Sending {waiting} messages") as step:
        came = (client.redrive_relay if queue == RELAY else client.redrive)(there, step.progress)
        step.result = f"sent {came['sent']}" + (f", kept {came['kept']}" if came["kept"] else "")
    if as_json:
        output.json({"queue": queue, "messages": waiting, "to": to, "dry_run": False, **came})
    else:
        output.line(f"sent {came['sent']} of {waiting} messages of {queue} to {to}")
        if came["kept"]:
            output.line(f"kept {came['kept']}: look at them with payments dlq peek {queue}")
    return BAD if came["kept"] else 0


@app.command()
def purge(
    queue: Name,
    message_ids: Annotated[list[str] | None, typer.Option("--id", help="This message only; may be repeated.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the messages to this file first, as JSON lines.")] = None,
    env: Environment = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Delete messages that can never be worked on. What they stand for is not done: redrive is what you want first."""
    output = Output(as_json)
    client, there = _there(queue, env)
    waiting = client.counts(there).waiting
    wanted = set(message_ids or [])
    what = f"{len(wanted)} named messages" if wanted else f"all {waiting} messages"
    if dry_run or not waiting:
        if as_json:
            output.json({"queue": queue, "messages": waiting, "dry_run": dry_run, "deleted": 0})
        else:
            output.line(f"{what} of {queue} would be deleted" if waiting else f"{queue} is empty")
        return 0
    ask(f"Delete {what} of {queue} in {env} for good?", yes=yes)
    if save:
        _writable(save)
    gone = 0
    left: list[Letter] = []
    with output.progress.step(f"Deleting {what}") as step:
        try:
            for letters in client.receive(there, waiting):
                chosen = [letter for letter in letters if not wanted or letter.message_id in wanted]
                left += [letter for letter in letters if letter not in chosen]
                if chosen and save:
                    _keep(save, chosen)
                gone += client.delete(there, chosen) if chosen else 0
                step.progress(gone, len(wanted) or waiting)
        finally:
            client.put_back(there, left)
        step.result = f"deleted {gone}"
    if as_json:
        output.json({"queue": queue, "messages": waiting, "dry_run": False, "deleted": gone})
    else:
        output.line(f"deleted {gone} messages of {queue}" + (f"; they are in {save}" if save and gone else ""))
    return BAD if gone < (len(wanted) or waiting) else 0


def _writable(file: Path) -> None:
    try:
        file.touch(mode=0o600)
    except OSError as error:
        raise LocalError(f"{file} cannot be written ({error.strerror}); nothing was deleted") from error


def _keep(file: Path, letters: list[Letter]) -> None:
    """Write letters, before they are deleted."""
    lines = [{**_kept(letter), "body": letter.body} for letter in letters]
    with file.open("a", encoding="utf-8") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)


def _kept(letter: Letter) -> dict[str, Any]:
    return {"message_id": letter.message_id, "sent_at": letter.sent_at, "attributes": letter.attributes}
