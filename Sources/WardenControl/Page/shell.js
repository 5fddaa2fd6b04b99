// What stands around every view: the connection's state, banners, notes, and small helpers.
import { el, number, plain, plural } from "./text.js";

const byId = (id) => document.getElementById(id);

/// Shows a view's template. Its parts by their `data-slot`.
export function slots(main, template) {
  main.replaceChildren(byId(template).content.cloneNode(true));
  const found = {};
  for (const element of main.querySelectorAll("[data-slot]")) found[element.dataset.slot] = element;
  return found;
}

/// Buttons of which one is pressed.
/// - Returns: presses one.
export function choices(host, values, chosen, onChoice, names = {}) {
  const press = (value) => {
    for (const button of host.children) button.setAttribute("aria-pressed", String(button.value === value));
  };
  const choose = (value) => {
    press(value);
    onChoice(value);
  };
  host.replaceChildren(
    ...values.map((value) => el("button", { type: "button", value, onclick: () => choose(value) }, names[value]
      ?? value)));
  press(chosen);
  return choose;
}

let isStreaming = false;
let failure = null;

function showConnection() {
  const state = failure?.status === 401 ? "locked" : failure && failure.status === 0 ? "lost" : isStreaming ? "live"
    : "waiting";
  const text = { live: "live", lost: "connection lost, trying again", waiting: "connecting", locked: "not logged in" };
  byId("connection").dataset.state = state;
  if (byId("connection-text").textContent !== text[state]) byId("connection-text").textContent = text[state];
}

/// Whether decisions come in; nothing where another view begins, which has lost none.
export function connection(isOpen) {
  if (isStreaming && isOpen === false) failure ??= { status: 0 };
  isStreaming = Boolean(isOpen);
  if (isOpen !== false) failure = null;
  showConnection();
}

/// What the last question came to; nothing when it was answered.
export function problem(error) {
  failure = error ?? (isStreaming ? null : failure);
  if (error) {
    console.debug(plain(error.message));
    if (error.status >= 400 && error.status !== 401) note(error.message);
  }
  showConnection();
}

let noteTimer;
/// A note that goes away by itself.
export function note(text) {
  const toast = byId("toast");
  toast.textContent = plain(text, 400);
  toast.hidden = false;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => { toast.hidden = true; }, 8_000);
}

/// Of who reads: a page that fell behind is no fault of the daemon.
const readersOwn = ["dropped_watchers", "skipped_records", "dropped_connections"];
let droppedBefore = Infinity;

/// What is wrong with the daemon itself.
export function faultsBanner(status) {
  const wrong = [...(status.distress ?? [])];
  if (status.state?.problem) wrong.push(`Not stored: ${status.state.problem}`);
  if (status.last_reload
    && !status.last_reload.ok) wrong.push("The last reload failed: the policy before it is in force.");
  for (const channel of status.alerts ?? []) {
    if (channel.problem) wrong.push(`Alerts by ${channel.channel}: ${channel.problem}`);
  }
  const faults = Object.entries(status.faults).filter(([name, count]) => count > 0 && !readersOwn.includes(name));
  if (faults.length) {
    const list = faults.map(([name, count]) => `${number(count)} ${name.replaceAll("_", " ")}`);
    wrong.push(`Since the start: ${list.join(", ")}.`);
  }
  // A daemon that has started anew counts from zero.
  const dropped = status.faults.dropped_connections ?? 0;
  droppedBefore = Math.min(droppedBefore, dropped);
  if (dropped > droppedBefore) {
    const many = plural(dropped - droppedBefore, "connection");
    wrong.push(`Since this page was opened: ${many} to the page beyond its bound, refused.`);
  }
  const banner = byId("banner");
  const text = JSON.stringify(wrong);
  if (banner.itemState === text) return;
  banner.itemState = text;
  banner.hidden = wrong.length === 0;
  banner.replaceChildren(...wrong.slice(0, 6).map((line) => el("p", {}, plain(line, 300))));
}
