// One rule: what it did, and what it would have done at other limits.
import { get, Polling, Stream } from "./api.js";
import { Figure } from "./charts.js";
import { connection, problem, slots } from "./shell.js";
import { badge, bar, each, el, keyLink, moment, number, plain, plural, quoted, ticking } from "./text.js";

const days = 7;

export function rule(main, name) {
  const slot = slots(main, "view-rule");
  document.title = `${plain(name, 60)} – Mailwarden`;
  slot.name.append(quoted(name, { most: 300, title: false }));
  const polling = new Polling(problem);
  const ladder = new Figure(slot.ladder, {
    label: "How often this rule would have tripped at other limits", first: "Limit", unit: "trips, keys", kind: "bar",
    isLogarithmic: true,
  }).toggledBy(slot["ladder-toggle"]);

  function show(found) {
    slot.description.replaceChildren(quoted(found.description, { title: false }));
    const facts = [
      ["Mode", badge(found.mode)], ["Counts", quoted(found.count)], ["Per", quoted(found.per)],
      ["Limit", list(found.limits)], ["Then", list(found.then)], ["Trips", number(found.trips)],
      ["Refused", number(found.refused)], ["Open episodes", number(found.open_episodes)],
        ["Keys counted", number(found.keys_counted)],
    ];
    slot.facts.replaceChildren(...facts.map(([title, value]) => el("div", {}, el("dt", {}, title),
      el("dd", {}, value))));
    const { past } = found;
    slot.ladder.hidden = !past;
    slot["ladder-toggle"].classList.toggle("gone", !past);
    slot["ladder-note"].textContent = plain(found.note ?? "", 500);
    if (past) {
      slot.past.textContent = `${plural(past.days, "day")}, by the ${past.by}${past.is_cut ? "; not all keys" : ""}`;
      const current = past.ladder.findIndex((one) => one.is_current);
      const inForce = past.ladder[current];
      const doubt = doubtOf(found.note ?? "", current);
      const mark = doubt ? `${doubt.mark} ` : "";
      ladder.show({
        labels: past.ladder.map((one) => number(one.limit) + (one.is_current ? " (in force)" : "")), current, doubt,
        summary: inForce
          ? `At the limit now, ${number(inForce.limit)}: ${mark}${plural(inForce.trips, "trip")} `
            + `on ${mark}${plural(inForce.keys, "key")}.` : "",
        series: [
          { name: "trips", values: past.ladder.map((one) => one.trips), colour: "--in" },
          { name: "keys", values: past.ladder.map((one) => one.keys), colour: "--out" },
        ],
      });
      slot["ladder-note"].textContent =
        `Counted from what is kept of ${moment(past.from, { seconds: false })}`
        + ` to ${moment(past.to, { seconds: false })}${found.note ? `: ${plain(found.note, 500)}` : ""}.`
        + (doubt ? ` Hatched: ${doubt.mark === "≥" ? "at least" : "about"} what is drawn.` : "");
    }
    slot["no-standing"].hidden = found.now.length > 0;
    const most = Math.max(1, ...found.now.map((one) => one.keys));
    each(slot.standing, found.now, (one) => one.limit, (one) =>
      el("tr", {}, el("th", { scope: "row" }, number(one.limit)),
        el("td", { class: "use" }, bar(one.keys, most, "below")),
        el("td", { class: "n" }, number(one.keys))));
  }

  /// Where the history lacks what was refused, as the note says, and what its figures are there. Where it also counts
  /// what the rule does not, they are no bound.
  function doubtOf(note, current) {
    const mark = note.includes("the most it can have been") ? "≈" : "≥";
    if (note.includes("the least it can have been")) return { from: 0, mark };
    return note.includes("what the rule refused is not counted") && current >= 0 ? { from: current, mark } : null;
  }

  const list = (texts) => {
    const parts = el("span");
    texts.forEach((text, index) => parts.append(index ? ", " : "", quoted(text)));
    return parts;
  };

  let stream = null;
  polling.every(15, async (signal) => {
    let found;
    try {
      found = await get("/v1/rule", { name, days }, signal);
    } catch (error) {
      if (error.status !== 400 && error.status !== 404) throw error;
      // A rule that the policy has no more, or a link that was mistyped: asking again does not help.
      slot.description.replaceChildren(quoted(error.message, { title: false }));
      polling.close();
      return;
    }
    show(found);
    stream ??= new Stream({ rule: name }, { event: soon }, connection);
  });
  const askEpisodes = polling.every(5, async (signal) => {
    const open = (await get("/v1/episodes", null, signal)).filter((one) => one.rule === name);
    slot["no-episodes"].hidden = open.length > 0;
    each(slot.episodes, open.slice(0, 100), (one) => one.key, (one) =>
      el("tr", { title: plain(one.reason) }, el("th", { scope: "row" }, keyLink(one.key)),
        el("td", { class: "t" }, ticking(one.last, "")),
        el("td", { class: "t" }, ticking(one.quiet_at)), el("td", { class: "n" }, number(one.refused + one.held))));
  });
  // However much happens: asked at most every two seconds.
  let planned;
  function soon() {
    planned ??= setTimeout(() => {
      planned = null;
      askEpisodes();
    }, 2_000);
  }

  return {
    close() {
      clearTimeout(planned);
      polling.close();
      stream?.close();
      ladder.close();
    },
  };
}
