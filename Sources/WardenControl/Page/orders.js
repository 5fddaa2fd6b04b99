// What an administrator orders: each with a dialog that says what will happen.
import { get, post, remove, session } from "./api.js";
import { logInFirst } from "./login.js";
import { el, plain, quoted } from "./text.js";
import { note } from "./shell.js";

const dialog = document.getElementById("order");
const form = dialog.querySelector("form");
const field = (name) => form.querySelector(`[data-field="${name}"]`);
const problem = form.querySelector(".problem");

form.querySelector("[value=cancel]").addEventListener("click", () => dialog.close());

/// Asks, carries out, and tells.
/// - Returns: whether it was done.
async function ask({ title, key, fields, button, isDangerous, consequence, carryOut, span }) {
  if (!session.may_act && !(await logInFirst())) return false;
  form.querySelector("h2").textContent = title;
  form.querySelector(".subject-of").replaceChildren(quoted(key));
  form.reset();
  for (const name of ["for", "rule", "limit", "reason"]) {
    field(name).hidden = !fields.includes(name);
    for (const input of field(name).querySelectorAll("input, select")) input.disabled = !fields.includes(name);
  }
  if (fields.includes("for")) form.elements.for.value = span;
  const submit = form.querySelector("menu .primary");
  submit.textContent = button;
  submit.classList.toggle("danger", Boolean(isDangerous));
  problem.hidden = true;
  const values = () =>
    Object.fromEntries(["for", "rule", "limit", "reason"].map((name) => [name, form.elements[name].value.trim()]));
  const explain = () => {
    field("limit").hidden = !fields.includes("limit") || !form.elements.rule.value;
    form.elements.limit.disabled = field("limit").hidden;
    form.querySelector(".consequence").textContent = consequence(values());
  };
  form.oninput = form.onchange = explain;
  explain();
  return new Promise((resolve) => {
    let isDone = false;
    form.onsubmit = async (event) => {
      event.preventDefault();
      submit.disabled = true;
      try {
        const told = await carryOut(values());
        isDone = true;
        dialog.close();
        note(told);
      } catch (error) {
        problem.textContent = plain(error.message, 400);
        problem.hidden = false;
      }
      submit.disabled = false;
    };
    dialog.onclose = () => resolve(isDone);
    dialog.showModal();
  });
}

const optional = (text) => text || undefined;
const withNote = (text, answer) => (answer?.note ? `${text} ${answer.note}` : text);

export const order = {
  block: (key) => ask({
    title: "Block", key, fields: ["for", "reason"], span: "1h", button: "Block", isDangerous: true,
    consequence: ({ for: time }) => `Everything from it is refused for ${plain(time || "…", 40)}.`,
    carryOut: async (values) => {
      const answer = await post("/v1/penalties", { key, for: values.for, reason: optional(values.reason) });
      return withNote(`${plain(key, 80)} is blocked for ${values.for}.`, answer);
    },
  }),

  release: (key) => ask({
    title: "Release", key, fields: [], button: "Release",
    consequence: () => "Its penalty ends and its counts start anew: it has all its room again.",
    carryOut: async () => {
      const answer = await remove("/v1/penalties", { key });
      const still = answer.still_blocked_by?.length
        ? ` Still blocked by ${answer.still_blocked_by.map((one) => plain(one.key, 60)).join(", ")}.` : "";
      const what = answer.was_blocked || answer.had_counts ? "is released." : "was neither blocked nor counted.";
      return withNote(`${plain(key, 80)} ${what}${still}`, answer);
    },
  }),

  async allow(key) {
    if (!session.may_act && !(await logInFirst())) return false;
    const { rules } = await get("/v1/status");
    form.elements.rule.replaceChildren(
      el("option", { value: "" }, "all rules"),
        ...rules.map((rule) => el("option", { value: rule.name }, plain(rule.name, 80))));
    return ask({
      title: "Allow for a while", key, fields: ["for", "rule", "limit", "reason"], span: "1d", button: "Allow",
      consequence: ({ for: time, rule, limit }) => {
        const what = !rule ? "No rule stops it" : limit ? `Rule ${rule} admits ${limit}`
          : `Rule ${rule} does not stop it`;
        return plain(`${what} for ${time || "…"}. A penalty that it has stays: release it, too.`, 300);
      },
      carryOut: async (values) => {
        const answer = await post("/v1/overrides", {
          key, for: values.for, rule: optional(values.rule), limit: values.rule ? optional(values.limit) : undefined,
          reason: optional(values.reason),
        });
        return withNote(`${plain(key, 80)} is allowed for ${values.for}.`, answer);
      },
    });
  },

  async revoke(key) {
    if (!session.may_act && !(await logInFirst())) return false;
    await remove("/v1/overrides", { key });
    note(`${plain(key, 80)} is no longer allowed more than others.`);
    return true;
  },
};
