"use strict";

const STATES = [
  ["validated", "Validated", ["validated"]],
  ["unknown", "Unknown", ["unknown"]],
  ["processed", "Processed", ["processed"]],
  ["failed", "Failed", ["failed"]],
  ["refunded", "Refunded", ["partially_refunded", "refunded"]],
];
const REFUNDABLE = new Set(["processed", "partially_refunded"]);
const SHOWN = 8;
const token = document.querySelector("meta[name=console-token]").content;
const byId = (id) => document.getElementById(id);
const payments = new Map();
let queues = [];
const busy = new Set();

// Text only: a payment's data is never read as HTML.
function make(tag, properties = {}, ...children) {
  const { dataset, ...plain } = properties;
  const element = Object.assign(document.createElement(tag), plain);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
}

function say(text, bad = false) {
  byId("said").textContent = text;
  byId("said").classList.toggle("bad", bad);
}

async function ask(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Console-Token": token },
    body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}

// One action at a time for each key: a second click during the first does nothing.
async function act(key, path, body, done) {
  if (busy.has(key)) return;
  busy.add(key);
  draw();
  try {
    say(done(await ask(path, body)));
  } catch (error) {
    say(error.message, true);
  } finally {
    busy.delete(key);
    draw();
  }
}

// A button that cannot be used now is not disabled in HTML's sense, since that would remove the focus.
function pressed(text, label, key, off, path, body, done) {
  const button = make("button", { type: "button", textContent: text, ariaLabel: label, ariaDisabled: String(off), dataset: { key } });
  if (!off) button.addEventListener("click", () => act(key, path, body, done));
  return button;
}

function time(moment) {
  return new Date(moment).toLocaleTimeString([], { hour12: false });
}

function way(payment) {
  return payment.moves.map((move) => `${move.status} ${time(move.at)}`).join(" → ");
}

function card(payment, tone, isNew) {
  const id = payment.transaction_id;
  const detail = payment.failure_code ?? (payment.amount_refunded ? `${payment.amount_refunded} refunded` : payment.customer_id);
  const top = make("div", { className: "top" }, make("p", {}, make("strong", { textContent: `${payment.amount} ${payment.currency}` })));
  if (REFUNDABLE.has(payment.status)) {
    const waits = busy.has(`refund ${id}`) || Boolean(payment.open_refunds);
    top.append(pressed("Refund", `Refund ${id}`, `refund ${id}`, waits, "/refund", { transaction_id: id },
      (said) => `Refund of ${id}: ${said.amount} ${said.currency}`));
  }
  return make("li", { className: isNew ? "card new" : "card", tabIndex: -1, dataset: { id, status: payment.status } }, top,
    make("p", { className: "id", textContent: id }),
    make("p", { className: "quiet", textContent: detail }),
    make("p", { className: "quiet", textContent: way(payment) }));
}

function drawBoard(moved) {
  const newest = [...payments.values()].sort((a, b) => (a.updated_at < b.updated_at ? 1 : -1));
  byId("board").replaceChildren(...STATES.map(([name, title, statuses]) => {
    const here = newest.filter((payment) => statuses.includes(payment.status));
    const column = make("section", { className: "state", dataset: { state: name } });
    column.style.setProperty("--tone", `var(--${name})`);
    column.setAttribute("aria-label", `${title}: ${here.length}`);
    column.append(make("h3", {}, title, make("span", { className: "count", textContent: here.length })));
    column.append(make("ul", {}, ...here.slice(0, SHOWN).map((payment) => card(payment, name, payment.transaction_id === moved))));
    if (here.length > SHOWN) column.append(make("p", { className: "quiet", textContent: `and ${here.length - SHOWN} more` }));
    return column;
  }));
}

function drawQueues() {
  byId("queues").replaceChildren(...queues.map((queue) => {
    const count = make("span", { textContent: `${queue.waiting} waiting, ${queue.in_flight} in flight` });
    const row = make("li", { dataset: { queue: queue.name, dead: queue.dead } }, make("span", { textContent: queue.label }), count);
    if (queue.dead) {
      const key = `redrive ${queue.name}`;
      count.classList.toggle("full", queue.waiting > 0);
      row.append(pressed("Redrive", `Redrive the dead letters of ${queue.name}`, key, !queue.waiting || busy.has(key), "/redrive",
        { queue: queue.name }, (said) => `Redrove ${said.sent}` + (said.kept ? `, ${said.kept} stayed` : "")));
    }
    return row;
  }));
}

// Drawing the board again must not move the keyboard's focus.
function draw(moved) {
  const focused = document.activeElement;
  const key = focused?.dataset?.key;
  const id = focused?.closest?.(".card")?.dataset.id;
  drawBoard(moved);
  drawQueues();
  const again = key && document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  // The button is gone after its action, so the focus moves to its payment.
  (again || (id && document.querySelector(`.card[data-id="${CSS.escape(id)}"]`)))?.focus?.();
}

function linked(text, bad = false) {
  byId("link").textContent = text;
  byId("link").classList.toggle("bad", bad);
}

function trouble(text) {
  linked(text ?? "live", Boolean(text));
}

byId("pay").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = Object.fromEntries(new FormData(event.target));
  act("pay", "/pay", body, (said) => `${said.transaction_id} is ${said.status}`);
});

const events = new EventSource("/events");
events.addEventListener("state", (event) => {
  const state = JSON.parse(event.data);
  payments.clear();
  for (const payment of state.payments) payments.set(payment.transaction_id, payment);
  queues = state.queues;
  trouble(state.trouble);
  draw();
});
events.addEventListener("payment", (event) => {
  const payment = JSON.parse(event.data);
  payments.set(payment.transaction_id, payment);
  draw(payment.transaction_id);
});
events.addEventListener("queues", (event) => {
  queues = JSON.parse(event.data);
  draw();
});
events.addEventListener("trouble", (event) => trouble(JSON.parse(event.data)));
events.addEventListener("error", () => linked("The console has stopped. Start it again: make console", true));
