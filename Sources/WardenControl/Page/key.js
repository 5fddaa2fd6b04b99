// One key: why it is limited, what it did, and what can be done about it.
import { get, Polling, Stream } from "./api.js";
import { Figure } from "./charts.js";
import { decision, headline } from "./decisions.js";
import { order } from "./orders.js";
import { choices, connection, note, problem, slots } from "./shell.js";
import {
  badge, bar, compact, each, el, number, plain, plural, quoted, keyLink, ruleLink, serverNow, signalText, step,
    ticking, time,
} from "./text.js";

/// How the history is shown: stretches of so many seconds, for so long.
const periods = {
  "2 hours": { by: "minute", step: 60, steps: 120 },
  "2 days": { by: "hour", step: 3_600, steps: 48 },
  "7 days": { by: "hour", step: 3_600, steps: 168 },
  "60 days": { by: "day", step: 86_400, steps: 60 },
};
const whileStopped = { minute: "in a minute with refusals", hour: "in an hour with refusals",
  day: "on a day with refusals" };
const perStep = { minute: "a minute", hour: "an hour", day: "a day" };
const usualSignals = ["messages", "recipients", "connections", "auth-failures", "relay-attempts"];

/// The median of what it does when it does anything: an hour without mail says nothing of its hours with mail.
function median(values) {
  const some = values.filter((value) => value > 0).sort((a, b) => a - b);
  if (!some.length) return null;
  const middle = some.length >> 1;
  return some.length % 2 ? some[middle] : (some[middle - 1] + some[middle]) / 2;
}

export function key(main, name) {
  const slot = slots(main, "view-key");
  document.title = `${plain(name, 60)} – Mailwarden`;
  slot.name.append(quoted(name, { most: 1000, title: false }));
  const polling = new Polling(problem);
  let period = "2 days";
  let signalShown = null;
  let counters = [];
  let past = null;

  const figure = new Figure(slot.history, {
    label: "History of this key", first: "From", newestFirst: true, kind: "bar", isStacked: true,
  }).toggledBy(slot["history-toggle"]);

  function showExplanation(found) {
    counters = found.counters;
    slot.state.replaceChildren(badge(found.exempt ? "exempt" : found.limited ? "limited" : "not limited"));
    const sentences = found.sentences.map((text, index) => ({ text, index }));
    each(slot.sentences, sentences, (one) => one.index,
      (one) => el("li", {}, quoted(one.text, { most: 600, title: false })));
    const given = found.overrides.filter((one) => one.until);
    each(slot.overrides, given, (one) => `${one.target} ${one.rule} ${one.until}`, (one) =>
      el("li", {}, el("span", {}, quoted(one.effect), one.rule ? " of " : "", one.rule ? ruleLink(one.rule) : "",
        " for another ", ticking(one.until)),
        el("button", {
          type: "button", class: "quiet acts-inline",
            "aria-label": `Take back what is allowed to ${plain(one.target, 80)}`,
          onclick: () => order.revoke(one.target).then((isDone) => { if (isDone) ask(); },
            (error) => note(error.message)),
        }, "Take back")));
    slot["no-counters"].hidden = found.counters.length > 0;
    each(slot.counters, found.counters, (one) => `${one.rule} ${one.signal} ${one.window}`, (one) =>
      el("tr", { title: plain(`${one.limit_text}${one.origin ? ` (${one.origin})` : ""}`) },
        el("th", { scope: "row" }, ruleLink(one.rule), one.mode === "observe" ? badge("observe") : null,
          el("span", { class: "sub" }, quoted(`${signalText(one.signal)} in ${one.window}`))),
        el("td", { class: "use" }, bar(one.count, one.limit)),
        el("td", { class: "n" }, `${compact(one.count)} / ${compact(one.limit)}`),
        el("td", { class: "t" }, Date.parse(one.free_at) > serverNow() ? ticking(one.free_at) : "now")));
    slot["no-episodes"].hidden = found.episodes.length > 0;
    each(slot.episodes, found.episodes, (one) => one.rule, (one) =>
      el("tr", { title: plain(one.reason) }, el("th", { scope: "row" }, ruleLink(one.rule)),
        el("td", { class: "t" }, time(one.opened)),
        el("td", { class: "t" }, ticking(one.quiet_at)), el("td", { class: "n" }, number(one.refused + one.held))));
    if (past) showHistory(past);
  }

  function showHistory(found) {
    past = found;
    const { by, step: size, steps } = periods[period];
    const names = [...new Set([...usualSignals.slice(0, 2), ...found.rows.flatMap((row) => Object.keys(row.counts))])]
      .filter((one) => !["held", "observed", "blocked"].includes(one));
    const totals = (one) => found.rows.reduce((sum, row) => sum + (row.counts[one] ?? 0), 0);
    const chosen = signalShown ?? (usualSignals.find((one) => totals(one) > 0) ?? "messages");
    each(slot.signal, names, (one) => one, (one) => el("option", { value: one }, signalText(one)));
    if (slot.signal.value !== chosen) slot.signal.value = chosen;

    // Stretches without anything are not told: they are zero. Days begin where the server is, so the last is taken as
    // told.
    const known = new Map(found.rows.map((row) => [Math.floor(Date.parse(row.at) / 1000), row.counts]));
    const latest = found.rows.length ? Math.floor(Date.parse(found.rows.at(-1).at) / 1000) : 0;
    const phase = by === "day" ? latest % size : 0;
    const end = Math.floor((serverNow() / 1000 - phase) / size) * size + phase;
    const starts = Array.from({ length: steps }, (_, index) => end - (steps - 1 - index) * size);
    const countsAt = (start) => {
      // A day may have 23 or 25 hours.
      if (by !== "day") return known.get(start) ?? {};
      return known.get(start) ?? known.get(start - 3_600) ?? known.get(start + 3_600) ?? {};
    };
    const labels = starts.map((start) => step(new Date(1000 * start).toISOString(), size));
    const values = starts.map((start) => countsAt(start)[chosen] ?? 0);
    const refused = starts.map((start) => (countsAt(start).refused ?? 0) + (countsAt(start).held ?? 0));
    const usual = median(values.slice(0, -1));
    const level = (value) => starts.map(() => value);
    const columns = [{ name: signalText(chosen), values }, { name: "refused or held", values: refused }];
    // Far more may be refused than ever passed: that it was stopped is a colour, how much is in the table.
    const isStopped = (index) => refused[index] > 0;
    const bars = [
      { name: signalText(chosen), values: values.map((value, index) => (isStopped(index) ? 0 : value)),
        colour: "--in" },
      { name: `${signalText(chosen)} ${whileStopped[by]}`,
        values: values.map((value, index) => (isStopped(index) ? value : 0)), colour: "--refused" },
    ];
    const levels = [];
    if (usual !== null) levels.push({ name: "its usual", values: level(usual), colour: "--out", dash: [2, 3],
      level: true });
    const limits = new Map();
    for (const one of counters) {
      if (one.signal === chosen && one.window_seconds === size) limits.set(one.limit,
        `limit of ${plain(one.rule, 40)}`);
    }
    for (const [limit, title] of limits) levels.push({ name: title, values: level(limit), colour: "--other",
      dash: [7, 4], level: true });
    figure.options.unit = `${signalText(chosen)} ${perStep[by]}`;
    const most = Math.max(...values);
    figure.show({
      labels, series: [...bars, ...levels], columns,
      summary: `At most ${number(most)} ${signalText(chosen)} ${perStep[by]}; `
        + `usually ${usual === null ? "none" : number(usual)}.`,
    });
    slot["history-note"].textContent =
      (usual === null ? "" : `Its usual: ${number(usual)} ${signalText(chosen)}, the median of its ${by}s with any. `)
      + (limits.size ? "" : `No limit counts ${signalText(chosen)} by the ${by}.`) + (found.is_cut
        ? " Only the latest is shown." : "");

    const told = [...found.decisions].reverse().slice(0, 100);
    slot["no-recent"].hidden = told.length > 0;
    slot["recent-note"].textContent = `last ${period}`;
    each(slot.recent, told, (one) => `${one.first} ${one.kind} ${one.rule} ${one.key} ${one.sender ?? ""}`, (one) =>
      decision({ kind: one.kind, rule: one.rule, key: one.key, reason: one.reason }, one.last, one.count, facts(one),
        { hasKey: one.key !== name }));
    const done = [...found.actions].reverse().slice(0, 100);
    each(slot.actions, done, (one) => `${one.at} ${one.action} ${one.detail}`, (one) =>
      el("li", { "data-kind": "action" },
        el("p", { class: "what" }, time(one.at), badge(one.action),
          el("span", { class: "by" }, "by ", quoted(one.who))),
        el("p", { class: "reason" }, quoted(one.detail))));
  }

  function facts(one) {
    const list = el("dl", { class: "details" });
    for (const [title, value] of [["user", one.user], ["ip", one.ip], ["from", one.sender], ["id", one.queue_id]]) {
      if (!value) continue;
      const link = title === "user" || title === "ip" ? keyLink(`${title}:${value}`, value)
        : quoted(value, { most: 120 });
      list.append(el("div", {}, el("dt", {}, title), el("dd", {}, link)));
    }
    return list;
  }

  function showPortrait(found) {
    slot["portrait-note"].textContent = found.messages
      ? `its latest ${plural(found.messages, "message")}${found.is_cut ? ", the busiest 50" : ""}`
        : "no mail of it has passed lately";
    each(slot.networks, found.networks, (one) => one.network, (one) =>
      el("tr", {}, el("th", { scope: "row" }, keyLink(`network:${one.network}`, one.network)),
        el("td", { class: "n" }, number(one.messages)),
        el("td", { class: "n extra" }, number(one.recipients)), el("td", { class: "t" }, ticking(one.last, ""))));
    each(slot.domains, found.recipient_domains, (one) => one.domain, (one) =>
      el("tr", {}, el("th", { scope: "row" }, quoted(one.domain)), el("td", { class: "n" }, number(one.messages))));
    each(slot.senders, found.senders, (one) => one.sender, (one) =>
      el("tr", {}, el("th", { scope: "row" }, quoted(one.sender || "<>")),
        el("td", { class: "n" }, number(one.messages))));
  }

  /// What is no key, like a link that was mistyped, is none the next time either.
  const askOfKey = async (path, signal, parameters) => {
    try {
      return await get(path, { key: name, ...parameters }, signal);
    } catch (error) {
      if (error.status === 400 && !signal.aborted) stop(error);
      throw error;
    }
  };
  const stop = (error) => {
    slot.sentences.replaceChildren(el("li", {}, quoted(error.message, { most: 600, title: false })));
    slot.acts.hidden = true;
    polling.close();
  };

  let stream = null;
  const askWhy = polling.every(5, async (signal) => {
    showExplanation(await askOfKey("/v1/explain", signal));
    stream ??= new Stream({ key: name }, {
      event: (event) => { if (event.decision !== "go-on" || headline(event)) soon(); },
      action: soon,
    }, connection);
  });
  const askHistory = polling.every(30, async (signal) => {
    const { by, step: size, steps } = periods[period];
    const from = new Date(serverNow() - 1000 * size * steps).toISOString().replace(/\.\d+/, "");
    try {
      showHistory(await askOfKey("/v1/history", signal, { by, from }));
    } catch (error) {
      if (error.status !== 404) throw error;
      // A policy without state keeps no history.
      slot["history-note"].textContent = plain(error.message, 300);
    }
  });
  const askPortrait = polling.every(30,
    async (signal) => showPortrait(await askOfKey("/v1/portrait", signal)));
  const ask = () => {
    askWhy();
    askHistory();
  };

  choices(slot.periods, Object.keys(periods), period, (chosen) => {
    period = chosen;
    askHistory();
  });
  slot.signal.addEventListener("change", () => {
    signalShown = slot.signal.value;
    if (past) showHistory(past);
  });

  const then = (work) => () => work(name).then((isDone) => { if (isDone) ask(); }, (error) => note(error.message));
  const acts = { block: then(order.block), allow: then(order.allow), release: then(order.release) };
  for (const [word, act] of Object.entries(acts)) slot[word].addEventListener("click", act);

  // Something has happened to it: what is shown is asked for anew, however many things happen at most every two
  // seconds.
  let planned;
  const soon = () => {
    planned ??= setTimeout(() => {
      planned = null;
      ask();
      askPortrait();
    }, 2_000);
  };
  return {
    keys: { b: acts.block, a: acts.allow, r: acts.release },
    close() {
      clearTimeout(planned);
      polling.close();
      stream?.close();
      figure.close();
    },
  };
}
