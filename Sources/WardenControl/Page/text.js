// Text that clients chose (users, senders, HELOs, queue ids) and what is made of it. Nothing here ever becomes markup.

/// Controls, bidirectional and invisible characters, unpaired surrogates and what no font has: they could hide or
/// reorder
/// what an administrator reads.
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;
const longest = 300;
const longestTitle = 1000;

const codePoint = (character) => "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");

/// Makes an element. Children are nodes, or text that stays text.
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/// As one line of plain text, for titles and for what is read aloud.
export function plain(text, most = longestTitle) {
  const characters = Array.from(String(text).slice(0, 2 * most));
  const shown = characters.slice(0, most).map((one) => (unseen.test(one) ? `<${codePoint(one)}>` : one)).join("");
  return characters.length > most ? shown + "…" : shown;
}

/// Text that a client may have chosen: isolated from what stands around it, cut, and with what cannot be seen spelled
/// out.
export function quoted(text, { most = longest, title = true } = {}) {
  const whole = String(text);
  const element = el("bdi", { class: "quoted", title: title && whole.length > 24 ? plain(whole) : null });
  const characters = Array.from(whole.slice(0, 2 * most));
  let run = "";
  for (const one of characters.slice(0, most)) {
    if (!unseen.test(one)) {
      run += one;
      continue;
    }
    element.append(run, el("span", { class: "unseen" }, codePoint(one)));
    run = "";
  }
  element.append(characters.length > most ? run + "…" : run);
  return element;
}

/// For a hash or a query; what is no text at all does not throw.
export const escaped = (text) => encodeURIComponent(String(text).toWellFormed());

/// - Parameter text: what is shown, where what stands before it says the kind of key already.
export const keyLink = (key, text = key) => el("a", { href: "#/key/" + escaped(key), class: "key" }, quoted(text));
export const ruleLink = (rule) => el("a", { href: "#/rule/" + escaped(rule), class: "rule" }, quoted(rule));

export const badge = (word) => el("span", { class: "badge", "data-kind": String(word).split(" ")[0] }, plain(word, 20));

/// A bar of how much of a limit is used; the figures beside it say the same.
export function bar(count, limit, known) {
  const share = limit > 0 ? count / limit : count > 0 ? 1 : 0;
  const fill = el("span", { class: "fill" });
  fill.style.width = `${Math.min(100, 100 * share).toFixed(1)}%`;
  const level = known ?? (share >= 1 ? "over" : share >= 0.75 ? "near" : "below");
  return el("span", { class: "bar", "data-level": level, "aria-hidden": "true" }, fill);
}

const figures = new Intl.NumberFormat("en-GB");
const short = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });
export const number = (value) => (value === null || value === undefined ? "–" : figures.format(value));
export const compact = (value) => (Math.abs(value) < 10_000 ? figures.format(value) : short.format(value));

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${value < 10 && unit ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export const plural = (count, one, many = one + "s") => `${number(count)} ${count === 1 ? one : many}`;

export const signalText = (signal) => signal.replaceAll("-", " ");

// --- Time. The server's clock is the one that counts: the browser's may be wrong.

let ahead = 0;
export const setServerTime = (milliseconds) => { ahead = milliseconds - Date.now(); };
export const serverNow = () => Date.now() + ahead;

const units = [["d", 86_400], ["h", 3_600], ["m", 60], ["s", 1]];

/// `3d 4h`, `12m`, `40s`: two units at most, and only one where the second says little.
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const first = units.findIndex(([, size]) => s >= size);
  if (first < 0) return "0s";
  const [unit, size] = units[first];
  const whole = Math.floor(s / size);
  if (unit === "s" || whole >= 10) return `${whole}${unit}`;
  const [nextUnit, nextSize] = units[first + 1];
  const rest = Math.floor((s % size) / nextSize);
  return rest ? `${whole}${unit} ${rest}${nextUnit}` : `${whole}${unit}`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

const when = (text) => { const at = new Date(text); return Number.isNaN(at.getTime()) ? null : at; };
const isSameDay = (a, b) => a.toDateString() === b.toDateString();

/// The moment as short as it can be told.
export function moment(text, { seconds = true } = {}) {
  const at = when(text);
  if (!at) return plain(text, 40);
  const time = (seconds ? clock : minutes).format(at);
  return isSameDay(at, new Date(serverNow())) ? time : `${date.format(at)} ${minutes.format(at)}`;
}

/// A step of a chart: a day, or a time of day.
export function step(text, seconds) {
  const at = when(text);
  if (!at) return plain(text, 40);
  if (seconds >= 86_400) return date.format(at);
  return seconds >= 3_600 ? `${date.format(at)} ${minutes.format(at)}` : minutes.format(at);
}

export const time = (text, options) =>
  el("time", { datetime: plain(text, 40), title: when(text) ? full.format(when(text)) : null }, moment(text, options));

/// How long ago, or how long until; goes on by itself while it is shown.
export function ticking(text, past = "ago") {
  const element = el("time", { datetime: plain(text, 40), class: "ticking", "data-past": past });
  const at = when(text);
  if (at) element.title = full.format(at);
  tick(element);
  return element;
}

function tick(element) {
  const at = when(element.dateTime);
  if (!at) return;
  const seconds = (at.getTime() - serverNow()) / 1000;
  const text = seconds > 0 ? span(seconds) : `${span(-seconds)} ${element.dataset.past}`.trim();
  if (element.textContent !== text) element.textContent = text;
}

setInterval(() => { if (!document.hidden) document.querySelectorAll("time.ticking").forEach(tick); }, 1000);

/// Shows items as children of a container, one each, and keeps the node of an item that stays: neither the focus nor a
/// selection is lost when figures change.
export function each(container, items, identify, make) {
  const old = new Map(Array.from(container.children, (child) => [child.itemIdentity, child]));
  const focused = container.contains(document.activeElement) && document.activeElement !== container
    ? document.activeElement : null;
  const place = focused && rowPlace(focused, container);
  const nodes = items.map((item) => {
    const identity = identify(item);
    const state = JSON.stringify(item);
    const known = old.get(identity);
    if (known?.itemState === state) return known;
    const node = make(item);
    if (known) {
      // The new node takes the place of the old in all but identity.
      known.replaceChildren(...node.childNodes);
      for (const { name, value } of node.attributes) known.setAttribute(name, value);
    }
    const kept = known ?? node;
    kept.itemIdentity = identity;
    kept.itemState = state;
    return kept;
  });
  const stays = new Set(nodes);
  for (const child of Array.from(container.children)) if (!stays.has(child)) child.remove();
  nodes.forEach((node, index) => {
    if (container.children[index] !== node) container.insertBefore(node, container.children[index] ?? null);
  });
  if (focused && document.activeElement !== focused) refocus(container, place);
}

const focusable = "a, button, select, input, summary";

function rowPlace(focused, container) {
  let row = focused;
  while (row.parentElement !== container) row = row.parentElement;
  return { identity: row.itemIdentity, within: [...row.querySelectorAll(focusable)].indexOf(focused) };
}

function refocus(container, place) {
  const row = [...container.children].find((child) => child.itemIdentity === place.identity);
  row?.querySelectorAll(focusable)[place.within]?.focus({ preventScroll: true });
}
