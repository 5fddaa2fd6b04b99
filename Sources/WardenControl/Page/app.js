// Mailwarden's page: which view is shown, and what works everywhere.
import { onSession, refreshSession, session } from "./api.js";
import { recolour } from "./charts.js";
import { key } from "./key.js";
import { logInOrOut } from "./login.js";
import { now } from "./now.js";
import { rule } from "./rule.js";
import { connection, problem } from "./shell.js";
import { escaped } from "./text.js";

const byId = (id) => document.getElementById(id);
const main = byId("main");
let view = null;

// --- Views.

function named(hash, prefix) {
  if (!hash.startsWith(prefix)) return null;
  try { return decodeURIComponent(hash.slice(prefix.length)); } catch { return null; }
}

function show({ isNew = true } = {}) {
  view?.close();
  view = null;
  if (!session.may_read) return void main.replaceChildren();
  connection();
  const name = { key: named(location.hash, "#/key/"), rule: named(location.hash, "#/rule/") };
  if (name.key) view = key(main, name.key);
  else if (name.rule) view = rule(main, name.rule);
  else view = now(main);
  if (!isNew) return;
  scrollTo(0, 0);
  main.querySelector("h1")?.focus({ preventScroll: true });
}

addEventListener("hashchange", () => { if (location.hash !== "#main") show(); });
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

let shownFor = null;
onSession(() => {
  const reader = `${session.may_read} ${session.who}`;
  if (reader !== shownFor) show({ isNew: shownFor === null });
  shownFor = reader;
});

// --- Finding.

const kinds = /^(user|ip|network|helo|sender|sender-domain|recipient|recipient-domain):|^server$/;
const ipv4 = /^\d{1,3}(\.\d{1,3}){3}(\/\d{1,2})?$/;
const ipv6 = /^[0-9a-f]*:[0-9a-f:.]*(\/\d{1,3})?$/i;

/// The key that somebody means who types a name or an address.
function keyMeant(text) {
  if (kinds.test(text)) return text;
  if (ipv4.test(text) || ipv6.test(text)) return `${text.includes("/") ? "network" : "ip"}:${text}`;
  return `user:${text}`;
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("sought").value.trim();
  if (!text) return;
  const isRule = [...document.querySelectorAll("a.rule")].some((link) => link.textContent === text)
    || text.startsWith("rule:");
  location.hash = isRule ? `#/rule/${escaped(text.replace(/^rule:/, ""))}` : `#/key/${escaped(keyMeant(text))}`;
  byId("sought").value = "";
});

// --- Light and dark.

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (prefersDark.matches ? "dark" : "light")) === "dark";

function changeTheme() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
  recolour();
}
byId("theme").addEventListener("click", changeTheme);
prefersDark.addEventListener("change", recolour);

// --- Keys.

const areShortcutsOn = () => localStorage.getItem("shortcuts") !== "off";
byId("shortcuts-on").checked = areShortcutsOn();
byId("shortcuts-on").addEventListener("change", (event) => localStorage.setItem("shortcuts", event.target.checked
  ? "on" : "off"));

function step(by) {
  const links = [...main.querySelectorAll("a.key, a.rule")].filter((link) => link.checkVisibility());
  const at = links.indexOf(document.activeElement);
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

const help = () => byId("shortcuts").showModal();
const shortcuts = {
  "/": () => byId("sought").focus(),
  "?": help,
  n: () => { location.hash = "#/"; },
  j: () => step(1),
  k: () => step(-1),
  l: logInOrOut,
  t: changeTheme,
};
byId("help").addEventListener("click", help);
byId("log").addEventListener("click", logInOrOut);

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !areShortcutsOn()) return;
  if (event.target.closest?.("input, select, textarea, dialog[open]")) return;
  const act = view?.keys?.[event.key] ?? shortcuts[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

// --- Beginning.

async function begin() {
  try {
    await refreshSession();
  } catch (error) {
    problem(error);
    setTimeout(begin, 3_000);
  }
}
begin();
