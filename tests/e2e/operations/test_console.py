"""The console in a browser: what it shows, what the keyboard can do, and which requests it refuses."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from local import ROOT
from local.environments import LOCAL
from ops.client import retrying
from ops.console.server import serve
from ops.dead_letters import QueueClient, dead_letter_queues
from ops.payment import SIMULATOR_METHODS, until_final
from ops.target import Target
from payments.domain.message import Message
from payments.runtime.messages import encode
from tests.support.aws import payment as payment_of
from tests.support.browser import browser
from tests.support.deployed import SOON, a_payment, unique

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import ConsoleMessage, Locator, Page

    from ops.client import Api
    from ops.stack import Stack

pytestmark = pytest.mark.e2e
SOON_MS = SOON * 1000


@pytest.fixture(scope="module")
def deployment(stack: Stack, api: Api) -> Target:
    return Target(LOCAL, stack, api)


@pytest.fixture(scope="module")
def url(deployment: Target) -> Iterator[str]:
    with serve(deployment, 0) as (url, _wait):
        yield url


def is_complaint(said: ConsoleMessage) -> bool:
    """Say whether a line of the browser's log reports a fault. The browser also logs the API's refusals as errors."""
    return said.type == "error" and "responded with a status of 502" not in said.text


@pytest.fixture
def page(url: str, tmp_path: Path) -> Iterator[Page]:
    """The page, open in a browser; any error, and any request to another site, fails the test."""
    with browser(tmp_path / "profile") as context:
        complaints: list[str] = []
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if is_complaint(said) else None)
        page.on("request", lambda asked: None if asked.url.startswith((url, "data:")) else complaints.append(asked.url))
        page.goto(url)
        expect(page.locator("#link")).to_have_text("live")
        yield page
        assert complaints == []


def card(page: Page, transaction_id: str) -> Locator:
    return page.locator(f".card[data-id='{transaction_id}']")


def said_id(page: Page) -> str:
    """Return the id of the payment that the form has just created."""
    expect(page.locator("#said")).to_contain_text("is validated", timeout=SOON_MS)
    found = re.match(r"(console-\w+) is validated", page.locator("#said").inner_text())
    assert found
    return found.group(1)


def test_a_payment_is_made_followed_and_refunded_by_keyboard(page: Page, api: Api) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    for _ in range(5):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pay", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    name = said_id(page)
    expect(page.locator(f"[data-state=processed] [data-id='{name}']")).to_be_visible(timeout=SOON_MS)
    # The page has shown each of its states.
    expect(card(page, name)).to_contain_text(re.compile(r"validated .* → processed "))
    button = page.get_by_role("button", name=f"Refund {name}")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"[data-state=refunded] [data-id='{name}']")).to_be_visible(timeout=SOON_MS)
    expect(card(page, name)).to_contain_text("12.50 refunded")
    # The button is gone, and the focus has not moved.
    expect(card(page, name)).to_be_focused()
    assert api.get(name).json()["status"] == "refunded"


def test_a_decline_says_why_and_a_refusal_says_what_is_wrong(page: Page) -> None:
    offered = page.get_by_label("Method").locator("option").evaluate_all("all => all.map(option => option.value)")
    assert offered == list(SIMULATOR_METHODS)
    page.get_by_label("Method").select_option("pm_sim_declined_insufficient_funds")
    page.get_by_role("button", name="Pay", exact=True).click()
    name = said_id(page)
    expect(page.locator(f"[data-state=failed] [data-id='{name}']")).to_contain_text(
        "insufficient_funds", timeout=SOON_MS
    )
    page.get_by_label("Amount").fill("12.505")
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(page.locator("#said.bad")).to_contain_text("/amount", timeout=SOON_MS)


def test_a_payment_made_elsewhere_appears_by_itself(page: Page, api: Api) -> None:
    payment = a_payment()
    api.post(payment)
    until_final(api, payment["transaction_id"], SOON)
    expect(page.locator(f"[data-state=processed] [data-id='{payment['transaction_id']}']")).to_be_visible(
        timeout=SOON_MS
    )


def dead_letter(stack: Stack) -> str:
    """Put the message of a charged payment into the dead-letter queue; return the payment's id."""
    name = unique("dead")
    message = Message("payment.processed", payment_of(transaction_id=name, status="processed", version=2))
    stack.sqs.send_message(QueueUrl=stack.outputs["processor_dlq_url"], MessageBody=encode(message))
    return name


def test_dead_letters_are_seen_and_redriven(page: Page, stack: Stack, inbox: Any) -> None:
    name = dead_letter(stack)
    row = page.locator("[data-dead=true][data-queue=processor]")
    expect(row).to_contain_text("1 waiting", timeout=SOON_MS)
    page.get_by_role("button", name="Redrive the dead letters of processor").click()
    expect(page.locator("#said")).to_have_text("Redrove 1", timeout=SOON_MS)
    expect(row).to_contain_text("0 waiting", timeout=SOON_MS)
    assert inbox.wait(lambda event: event["subject"] == name, SOON)
    assert QueueClient(stack).counts(dead_letter_queues(stack)["processor"]).waiting == 0


def test_what_a_payment_says_is_text(page: Page, deployment: Target, url: str) -> None:
    """The page's policy lets no foreign script run, and no data is ever read as HTML."""
    assert page.evaluate("document.querySelectorAll('script:not([src])').length") == 0
    page.evaluate(
        "drawBoard(payments.set('x', {transaction_id: 'x', status: 'failed', failure_code: '<img src=x onerror=1>',"
        " amount: '1', currency: 'EUR', updated_at: '2099', moves: []}) && 'x')"
    )
    assert page.locator("#board img").count() == 0
    expect(card(page, "x")).to_contain_text("<img src=x")


def test_dark_and_light(url: str, tmp_path: Path) -> None:
    grounds = []
    for dark in (False, True):
        with browser(tmp_path / str(dark), dark=dark) as context:
            page = context.new_page()
            page.goto(url)
            grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    light, dark_one = (sum(map(int, re.findall(r"\d+", ground)[:3])) for ground in grounds)
    assert light > 600
    assert dark_one < 150


@contextmanager
def stuck(stack: Stack, api: Api, name: str) -> Iterator[str]:
    """Create a payment that the gateway never answers; remove its message or dead letter before later tests."""
    payment = a_payment(payment_method="pm_sim_unavailable", amount="80.00")
    key = {"transaction_id": {"S": name}}
    assert retrying(partial(api.post, payment | {"customer_id": "grace", "transaction_id": name}), SOON).ok
    try:
        yield name
    finally:
        stack.sqs.purge_queue(QueueUrl=stack.outputs["validator_queue_url"])
        stack.dynamodb.delete_item(TableName=stack.outputs["dynamodb_table_name"], Key=key)


def test_the_screenshot(stack: Stack, api: Api, tmp_path: Path) -> None:
    """A picture of the page with a payment in most states. To renew docs/console.png, delete it and run this test."""
    payments = [
        a_payment(payment_method=method)
        for method in ["pm_sim_approved"] * 3 + ["pm_sim_declined_insufficient_funds", "pm_sim_approved"]
    ]
    for number, payment in enumerate(payments):
        payment |= {"customer_id": ["ada", "grace", "alan"][number % 3], "amount": f"{12 + 7 * number}.50"}
        payment["transaction_id"] = unique(f"order-{1001 + number}")[:15]
        assert retrying(partial(api.post, payment), SOON).ok
        until_final(api, payment["transaction_id"], SOON)
    api.refund(payments[0]["transaction_id"], {"refund_id": "r", "amount": "5.00"})
    with (
        stuck(stack, api, unique("order-1006")[:15]) as waits,
        serve(Target(LOCAL, stack, api), 0) as (url, _wait),
        browser(tmp_path / "profile") as context,
    ):
        page = context.new_page()
        page.goto(url)
        expect(page.locator(f"[data-state=refunded] [data-id='{payments[0]['transaction_id']}']")).to_be_visible(
            timeout=SOON_MS
        )
        expect(card(page, waits)).to_be_visible(timeout=SOON_MS)
        taken = page.screenshot(path=tmp_path / "console.png")
    assert taken.startswith(b"\x89PNG")
    kept = ROOT / "docs" / "console.png"
    if not kept.exists():
        kept.write_bytes(taken)
