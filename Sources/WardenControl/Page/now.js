// What goes on at this moment, on the whole server.
import { get, Polling, Stream } from "./api.js";
import { Figure } from "./charts.js";
import { announce, Decisions } from "./decisions.js";
import { order } from "./orders.js";
import {
  badge, bar, bytes, compact, each, el, keyLink, number, plain, plural, ruleLink, setServerTime, signalText, span,
  step, ticking,
} from "./text.js";
import { choices, connection, faultsBanner, problem, slots } from "./shell.js";

const spans = ["1h", "6h", "1d", "7d"];
const perStep = { 60: "a minute", 300: "in 5 minutes", 3600: "an hour" };
const mostPenalties = 50;

/// The five things that a web host's administrator looks for, made of signals.
const cases = [
  { name: "Sent without login", of: (f) => f("messages") - f("submissions"), colour: "--in" },
  { name: "Sent as oneself", of: (f) => f("submissions") - f("sender-mismatch"), colour: "--out" },
  { name: "Sent as somebody else", of: (f) => f("sender-mismatch"), colour: "--other" },
  { name: "Relay refused", of: (f) => f("relay-attempts"), colour: "--refused" },
  { name: "AUTH failed", of: (f) => f("auth-failures"), colour: "--failed" },
];

/// A figure of a case, or nothing where a figure that it is made of is not known.
function figure(one, totals, field) {
  const value = one.of((name) => {
    const rate = totals[name];
    return rate === undefined ? 0 : rate[field] ?? Number.NaN;
  });
  return Number.isNaN(value) ? null : Math.max(0, value);
}

export function now(main) {
  const slot = slots(main, "view-now");
  document.title = "Mailwarden";
  const polling = new Polling(problem);
  let spanShown = localStorage.getItem("span") ?? "1h";
  let orderShown = "limit";
  let kindsShown = "";
  let status = null;

  const traffic = new Figure(slot.traffic, {
    label: "Messages in and out, and refusals, over time", first: "From", unit: "messages", newestFirst: true,
  }).toggledBy(slot["traffic-toggle"]);
  const casesTable = new Figure(slot["cases-table"], {
    label: "The five cases over time", first: "From", newestFirst: true,
  });
  casesTable.isTable = true;
  slot["cases-toggle"].setAttribute("aria-pressed", "false");
  slot["cases-toggle"].addEventListener("click", () => {
    slot["cases-table"].hidden = !slot["cases-table"].hidden;
    slot["cases-toggle"].setAttribute("aria-pressed", String(!slot["cases-table"].hidden));
  });

  const tiles = cases.map((one) => {
    const tile = {
      now: el("dd", { class: "big" }), hour: el("dd"), usual: el("dd"), chart: el("figure"),
    };
    slot.cases.append(
      el("article", { class: "tile", "aria-label": one.name },
        el("h3", {}, one.name),
        el("dl", {},
          el("div", { class: "first" }, el("dt", { class: "hidden" }, "in the last minute"), tile.now,
            el("span", { class: "unit", "aria-hidden": "true" }, "/ min")),
          el("div", {}, el("dt", {}, "last hour"), tile.hour),
          el("div", {}, el("dt", {}, "usual hour"), tile.usual)),
        tile.chart));
    tile.spark = new Figure(tile.chart, { label: one.name, first: "From", bare: true });
    return tile;
  });

  const fact = (name, value, options = {}) => ({ name, value, ...options });

  function showStatus(found) {
    status = found;
    setServerTime(Date.parse(found.started) + 1000 * found.uptime_seconds);
    const totals = found.totals;
    const facts = [
      fact("Up", span(found.uptime_seconds)),
      fact("Sessions", number(found.sessions_open)),
      fact("Refused / min", number(totals.refusals?.last_minute ?? 0), { isLoud: totals.refusals?.last_minute > 0 }),
      fact("Blocked", number(found.penalties)),
      fact("Keys", compact(found.keys)),
      fact("Memory", `${Math.round((100 * found.memory_bytes) / found.memory_bound_bytes)} %`, {
        title: `${bytes(found.memory_bytes)} of ${bytes(found.memory_bound_bytes)}`,
      }),
      fact("Watchers", number(found.watchers ?? 0)),
      fact("Version", plain(found.version, 30)),
    ];
    each(slot.strip, facts, (one) => one.name, ({ name, value, isLoud, title }) =>
      el("div", { "data-loud": isLoud ? "yes" : "no", title }, el("dt", {}, name), el("dd", {}, value)));
    faultsBanner(found);
    cases.forEach((one, index) => {
      const tile = tiles[index];
      const [hour, usual] = [figure(one, totals, "last_hour"), figure(one, totals, "usual_hour")];
      tile.now.textContent = number(figure(one, totals, "last_minute"));
      tile.hour.textContent = number(hour);
      tile.usual.textContent = usual === null ? "–" : number(usual);
      const isHigh = usual !== null && hour > Math.max(10, 2 * usual);
      tile.chart.parentElement.dataset.level = isHigh ? "high" : "usual";
    });
    each(slot.rules, found.rules, (rule) => rule.name, (rule) =>
      el("tr", {},
        el("th", { scope: "row", title: plain(rule.description) }, ruleLink(rule.name)),
        el("td", {}, badge(rule.mode)), el("td", { class: "n" }, number(rule.trips)),
        el("td", { class: "n" }, number(rule.refused))));
  }

  function showTrend(trend) {
    const zeroes = trend.at.map(() => 0);
    const series = (name) => trend.series[name] ?? zeroes;
    const values = (one) => trend.at.map((_, index) => Math.max(0, one.of((name) => series(name)[index])));
    const labels = trend.at.map((at) => step(at, trend.step_seconds));
    const unauthenticated = values(cases[0]);
    const out = series("submissions");
    const refused = trend.at.map((_, index) => series("refused")[index] + series("held")[index]);
    const sum = (all) => all.reduce((total, value) => total + value, 0);
    traffic.options.unit = `messages ${perStep[trend.step_seconds] ?? ""}`;
    traffic.show({
      labels, isUnderWay: true,
      summary: `In the last ${spanShown}: ${plural(sum(unauthenticated), "message")} in, ${number(sum(out))} out, `
        + `${number(sum(refused))} refused or held.`,
      series: [
        { name: "in", values: unauthenticated, colour: "--in", fill: true },
        { name: "out", values: out, colour: "--out" },
        { name: "refused or held", values: refused, colour: "--refused", dash: [5, 3] },
      ],
    });
    const columns = cases.map((one) => ({ name: one.name, values: values(one), colour: one.colour }));
    casesTable.show({ labels, series: columns });
    columns.forEach((column, index) =>
      tiles[index].spark.show({
        labels, isUnderWay: true, series: [{ ...column, fill: true }],
        summary: `${number(sum(column.values))} in the last ${spanShown}, at most `
          + `${number(Math.max(...column.values))} ${perStep[trend.step_seconds] ?? ""}.`,
      }));
    slot["cases-note"].textContent = `last ${spanShown}`;
  }

  function showEpisodes(episodes) {
    slot["no-episodes"].hidden = episodes.length > 0;
    slot["episodes-note"].textContent = episodes.length ? plural(episodes.length, "episode") : "";
    each(slot.episodes, episodes.slice(0, 50), (one) => `${one.key} ${one.rule}`, (one) =>
      el("tr", { title: plain(one.reason) },
        el("th", { scope: "row" }, keyLink(one.key)),
        el("td", {}, ruleLink(one.rule)), el("td", { class: "t" }, ticking(one.last, "")),
        el("td", { class: "n" }, one.mode === "observe" ? badge("observe") : number(one.refused + one.held))));
  }

  function showPenalties(penalties) {
    slot["no-penalties"].hidden = penalties.length > 0;
    const all = status?.penalties ?? penalties.length;
    slot["penalties-note"].textContent = all > penalties.length ? `the newest ${penalties.length} of ${number(all)}`
      : penalties.length ? plural(all, "key") : "";
    each(slot.penalties, penalties, (one) => one.key, (one) =>
      el("tr", { title: plain(one.reason) },
        el("th", { scope: "row" }, keyLink(one.key)), el("td", {}, ruleLink(one.rule)),
        el("td", { class: "t" }, ticking(one.until)), el("td", { class: "n extra" }, number(one.attempts)),
        el("td", { class: "acts" },
          el("button", {
            type: "button", class: "quiet", "aria-label": `Release ${plain(one.key, 100)}`,
            onclick: () => order.release(one.key).then((isDone) => { if (isDone) askPenalties(); }),
          }, "Release"))));
  }

  function showKeys(counters) {
    slot["no-keys"].hidden = counters.length > 0;
    each(slot.keys, counters, (one) => `${one.key} ${one.rule} ${one.window} ${one.signal}`, (one) =>
      el("tr", { title: plain(`${number(one.count)} ${signalText(one.signal)} in ${one.window}; ${one.limit_text}`) },
        el("th", { scope: "row" }, keyLink(one.key)),
        el("td", {}, ruleLink(one.rule)),
        el("td", { class: "use" }, bar(one.count, one.limit)),
        el("td", { class: "n" }, `${compact(one.count)} / ${compact(one.limit)}`,
          el("span", { class: "window" }, ` ${one.window}`))));
    suggest(counters);
  }

  const askTrend = polling.every(30, async (signal) => showTrend(await get("/v1/trend", { span: spanShown }, signal)));
  polling.every(5, async (signal) => showStatus(await get("/v1/status", null, signal)));
  const askKeys = polling.every(5,
    async (signal) => showKeys(await get("/v1/keys", {
      order: orderShown, limit: 25, ...(kindsShown ? { per: kindsShown } : {}),
    }, signal)));
  const askPenalties = polling.every(5,
    async (signal) => showPenalties(await get("/v1/penalties", { limit: mostPenalties }, signal)));
  polling.every(5, async (signal) => showEpisodes(await get("/v1/episodes", null, signal)));

  const chooseSpan = choices(slot.spans, spans, spanShown, (chosen) => {
    spanShown = chosen;
    localStorage.setItem("span", chosen);
    askTrend();
  });
  // A botnet's addresses must not hide the users.
  choices(slot.kinds, ["", "user", "ip,network"], kindsShown, (chosen) => {
    kindsShown = chosen;
    askKeys();
  }, { "": "all", user: "users", "ip,network": "addresses" });
  choices(slot.orders, ["limit", "count"], orderShown, (chosen) => {
    orderShown = chosen;
    askKeys();
  }, { limit: "by limit", count: "by count" });

  const decisions = new Decisions(slot.decisions, slot["no-decisions"]);
  const pause = () => {
    decisions.isPaused = !decisions.isPaused;
    slot.pause.setAttribute("aria-pressed", String(decisions.isPaused));
    slot.pause.textContent = decisions.isPaused ? "Go on" : "Pause";
    decisions.render();
  };
  slot.pause.addEventListener("click", pause);
  const stream = new Stream({ decision: "refused,held,delayed,blocked,observed,alert", pulse: "yes" }, {
    event: (event) => {
      decisions.add(event);
      announce(event);
    },
    skipped: ({ count }) => decisions.skip(count),
    pulse: (pulse) => {
      const { refusals = 0, held = 0 } = pulse.last_minute ?? {};
      slot.rate.textContent = `${number(refusals)} refused, ${number(held)} held in a minute`;
    },
  }, connection);

  return {
    keys: { p: pause, ...Object.fromEntries(spans.map((one, index) => [String(index + 1), () => chooseSpan(one)])) },
    close() {
      polling.close();
      stream.close();
      decisions.close();
      for (const one of [traffic, casesTable, ...tiles.map((tile) => tile.spark)]) one.close();
    },
  };
}

/// What the search box offers. Browsers draw these by themselves: names that could deceive are left out.
function suggest(counters) {
  const names = [...new Set(counters.map((one) => one.key))].filter((name) => /^[\w:.@/+-]{1,80}$/.test(name));
  each(document.getElementById("suggestions"), names, (name) => name, (name) => el("option", { value: name }));
}
