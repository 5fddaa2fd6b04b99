// What is asked of Mailwarden, and who is logged in.

/// Empty until it is known.
export const session = {};
const listeners = new Set();

/// Calls back whenever somebody has logged in or out.
export function onSession(listener) { listeners.add(listener); }

function setSession({ who, may_read, may_act }) {
  const before = JSON.stringify(session);
  Object.assign(session, { who, may_read, may_act: may_act && word() !== null });
  if (JSON.stringify(session) !== before) for (const listener of listeners) listener();
}

/// The word that proves that an order is this page's. It is told once, at the login; cookies are shared by all ports
/// of a host, this is kept for this origin alone, and all its tabs.
const word = () => localStorage.getItem("csrf");

/// A word that a login elsewhere has put in its place meanwhile stays.
function forget(told) {
  if (told !== null && word() === told) localStorage.removeItem("csrf");
}

// Another tab has logged in or out, or all that was stored is gone.
addEventListener("storage", ({ key }) => {
  if (key === "csrf" || key === null) refreshSession().catch(() => {});
});

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/// With a space as %20: a plus is a plus in a path's parameters.
const queryText = (parameters) => new URLSearchParams(parameters).toString().replaceAll("+", "%20");

async function request(method, path, parameters, body, signal) {
  const query = queryText(parameters ?? {});
  const headers = {};
  const told = word();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && told !== null) headers["X-CSRF-Token"] = told;
  const asked = query ? `${path}?${query}` : path;
  let response;
  try {
    response = await fetch(asked, {
      method, headers, signal, cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "Mailwarden cannot be reached.");
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) {
    const isLogin = method === "POST" && path === "/v1/session";
    const isOver = response.status === 401 || (response.status === 403 && method !== "GET");
    if (isOver && !isLogin) {
      forget(told);
      refreshSession().catch(() => {});
    }
    throw new Refused(response.status, answer?.error ?? `Mailwarden answered ${response.status} to ${path}.`);
  }
  return answer;
}

export const get = (path, parameters, signal) => request("GET", path, parameters, undefined, signal);
export const post = (path, body) => request("POST", path, null, body);
export const remove = (path, parameters) => request("DELETE", path, parameters);

export async function refreshSession() {
  const told = word();
  const found = await get("/v1/session");
  if (!found.who) forget(told);
  setSession(found);
}

export async function logIn(token) {
  const { csrf } = await post("/v1/session", { token });
  localStorage.setItem("csrf", csrf);
  await refreshSession();
}

export async function logOut() {
  const told = word();
  await remove("/v1/session");
  forget(told);
  await refreshSession();
}

/// Server-sent events, opened anew when they break off: at first after a second, then ever more rarely. Only while the
/// page can be seen: a browser has six connections to a server, for all its tabs.
export class Stream {
  static firstDelay = 1_000;
  static longestDelay = 30_000;

  constructor(parameters, handlers, onState) {
    this.address = `/v1/events?${queryText(parameters)}`;
    this.handlers = handlers;
    this.onState = onState;
    this.delay = Stream.firstDelay;
    this.turn = () => {
      this.rest();
      if (!document.hidden) this.open();
    };
    document.addEventListener("visibilitychange", this.turn);
    this.turn();
  }

  open() {
    const source = new EventSource(this.address);
    this.source = source;
    source.onopen = () => {
      this.delay = Stream.firstDelay;
      this.onState(true);
    };
    source.onerror = () => {
      source.close();
      this.onState(false);
      // Not all pages at the same moment, when the daemon comes back.
      this.timer = setTimeout(() => this.open(), this.delay * (0.75 + Math.random() / 2));
      this.delay = Math.min(2 * this.delay, Stream.longestDelay);
    };
    for (const [kind, handle] of Object.entries(this.handlers)) {
      source.addEventListener(kind, (message) => {
        let data;
        try { data = JSON.parse(message.data); } catch { return; }
        handle(data);
      });
    }
  }

  rest() {
    clearTimeout(this.timer);
    this.source?.close();
  }

  close() {
    document.removeEventListener("visibilitychange", this.turn);
    this.rest();
  }
}

/// What is asked again and again while a view is shown: only when the page can be seen, and never twice at once.
export class Polling {
  constructor(onProblem) {
    this.onProblem = onProblem;
    this.abort = new AbortController();
    this.jobs = [];
    this.wake = () => { if (!document.hidden) for (const job of this.jobs) job.run(); };
    document.addEventListener("visibilitychange", this.wake);
  }

  /// - Returns: asks at once, beside the turn.
  every(seconds, ask) {
    const job = { isRunning: false, isWanted: false };
    job.run = async () => {
      if (job.isRunning) return void (job.isWanted = true);
      job.isRunning = true;
      try {
        await ask(this.abort.signal);
        this.onProblem(null);
      } catch (error) {
        if (!this.abort.signal.aborted) this.onProblem(error);
      }
      job.isRunning = false;
      if (job.isWanted && !this.abort.signal.aborted) {
        job.isWanted = false;
        job.run();
      }
    };
    job.timer = setInterval(() => { if (!document.hidden) job.run(); }, seconds * 1000);
    this.jobs.push(job);
    job.run();
    return job.run;
  }

  close() {
    this.abort.abort();
    document.removeEventListener("visibilitychange", this.wake);
    for (const job of this.jobs) clearInterval(job.timer);
  }
}
