// Logging in with a token, and out.
import { logIn, logOut, onSession, session } from "./api.js";
import { plain } from "./text.js";
import { note, problem } from "./shell.js";

const dialog = document.getElementById("login");
const form = dialog.querySelector("form");
const wrong = form.querySelector(".problem");
const cancel = form.querySelector("[value=cancel]");

cancel.addEventListener("click", () => dialog.close());
// Where nothing can be read without it there is nothing to go back to.
dialog.addEventListener("cancel", (event) => { if (!session.may_read) event.preventDefault(); });

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { token } = form.elements;
  try {
    await logIn(token.value.trim());
    dialog.close();
  } catch (error) {
    wrong.textContent = plain(error.message, 300);
    wrong.hidden = false;
    token.select();
  }
});

/// - Returns: whether somebody who may act has logged in.
export function logInFirst() {
  if (!dialog.open) {
    form.reset();
    wrong.hidden = true;
    cancel.hidden = !session.may_read;
    dialog.showModal();
  }
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(session.may_act), { once: true }));
}

export async function logInOrOut() {
  // Without the word of the login there is nothing to log out with either.
  if (!session.may_act) return void (await logInFirst());
  try {
    await logOut();
    note("Logged out.");
  } catch (error) {
    problem(error);
  }
}

function show() {
  const button = document.getElementById("log");
  document.getElementById("who").textContent = session.who ? plain(session.who, 40) : session.may_read ? "read only"
    : "";
  button.hidden = false;
  const isForgotten = Boolean(session.who) && !session.may_act;
  button.textContent = session.may_act ? "Log out" : isForgotten ? "Log in again" : "Log in";
  document.body.classList.toggle("login-forgotten", isForgotten);
  document.body.classList.toggle("read-only", !session.may_act);
  if (!session.may_read && !dialog.open) logInFirst();
}
onSession(show);
