// Decisions as they come: a list that a flood neither fills nor stops.
import { badge, each, el, keyLink, number, plain, quoted, ruleLink, time } from "./text.js";

const most = 200;
const mostShown = 60;
/// What is the same within this time is one line with a count.
const together = 60_000;
const bySeverity = ["blocked", "refused", "held", "delayed", "run", "alert", "observed"];

/// What an event is told as: the gravest of what became of it.
export function headline(event) {
  const all = [...(event.notices ?? [])];
  if (bySeverity.includes(event.decision)) {
    all.push({ kind: event.decision, rule: event.rule, key: event.key, reason: event.reason, until: event.until });
  }
  all.sort((a, b) => bySeverity.indexOf(a.kind) - bySeverity.indexOf(b.kind));
  const [first] = all;
  return first ? { ...first, reason: first.reason ?? event.reason ?? "" } : null;
}

function details(event) {
  const list = el("dl", { class: "details" });
  const add = (name, value, link) => {
    if (value !== undefined && value !== null && value !== "") {
      list.append(el("div", {}, el("dt", {}, name),
        el("dd", {}, link ? keyLink(link + value, value) : quoted(value, { most: 120 }))));
    }
  };
  add("user", event.user, "user:");
  add("ip", event.ip, "ip:");
  add("helo", event.helo);
  add("from", event.sender);
  add("id", event.queue_id);
  return list;
}

export class Decisions {
  constructor(list, empty) {
    this.list = list;
    this.empty = empty;
    this.entries = new Map();
    this.skipped = 0;
    this.isPaused = false;
  }

  add(event) {
    const told = headline(event);
    if (!told) return;
    const at = Date.parse(event.at) || Date.now();
    let identity = JSON.stringify([told.kind, told.rule, told.key]);
    const same = this.entries.get(identity);
    if (same && at - same.at > together) {
      this.entries.delete(identity);
      this.entries.set(`${identity} ${same.at}`, { ...same, id: `${identity} ${same.at}` });
    }
    const count = (same && at - same.at <= together ? same.count : 0) + 1;
    // Last is latest: a Map keeps the order of insertion.
    this.entries.delete(identity);
    this.entries.set(identity, { id: identity, at: count > 1 ? same.at : at, latest: event.at, count, told, event });
    while (this.entries.size > most) this.entries.delete(this.entries.keys().next().value);
    this.plan();
  }

  skip(count) {
    this.skipped += count;
    this.plan();
  }

  /// However many come, they are drawn once a frame at most.
  plan() {
    if (this.isPaused || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.render();
    });
  }

  render() {
    if (this.isPaused) return;
    this.empty.hidden = this.entries.size > 0;
    const latest = [...this.entries.values()].reverse().slice(0, mostShown);
    each(this.list, latest, (one) => one.id, (one) => decision(one.told, one.latest, one.count, details(one.event)));
    this.list.dataset.skipped = this.skipped ? `and ${number(this.skipped)} more that came too fast to be shown` : "";
  }

  close() { cancelAnimationFrame(this.frame); }
}

/// One line of a list of decisions.
export function decision(told, at, count, more, { hasKey = true } = {}) {
  return el("li", { "data-kind": told.kind },
    el("p", { class: "what" },
      time(at), badge(told.kind), count > 1 ? el("span", { class: "times" }, `× ${number(count)}`) : null,
      hasKey && told.key ? keyLink(told.key) : null, told.rule ? ruleLink(told.rule) : null),
    el("p", { class: "reason" }, quoted(told.reason ?? "")), more);
}

// --- For who listens rather than looks: what is new, at most every few seconds.

const quietFor = 5_000;
let waiting = [];
let announcing;

export function announce(event) {
  const told = headline(event);
  if (!told) return;
  waiting.push(`${told.kind} ${plain(told.key ?? "", 60)} by ${plain(told.rule ?? "", 40)}`);
  if (waiting.length > most) waiting.shift();
  announcing ??= setTimeout(() => {
    const rest = new Set(waiting).size - 1;
    document.getElementById("announced").textContent =
      rest > 0 ? `${waiting.at(-1)}, and ${number(rest)} other decisions` : waiting.at(-1);
    waiting = [];
    announcing = null;
  }, quietFor);
}
