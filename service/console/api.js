/** The service as the console asks it: like any other caller, with the key in the Authorization header. */

/** What the service, or the way to it, has refused. */
export class Refused extends Error {
  /** @param {{title: string, detail: string, code: string, status: number, errors?: Array}} problem */
  constructor(problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }
}

export class Api {
  #key;
  #onUnknownKey;

  /** @param {() => void} onUnknownKey - called when the service no longer knows the key */
  constructor(key, onUnknownKey) {
    this.#key = key;
    this.#onUnknownKey = onUnknownKey;
  }

  /** The document at a path. */
  async get(path, signal) {
    return (await this.fetch(path, { signal })).json();
  }

  /** The document that answers a POST. A path that is sent again after a broken connection makes nothing twice. */
  async post(path, body, signal) {
    const headers = { "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` };
    if (body !== undefined && !(body instanceof FormData)) {
      headers["Content-Type"] = "application/json";
      body = JSON.stringify(body);
    }
    return (await this.fetch(path, { method: "POST", headers, body, signal })).json();
  }

  async delete(path) {
    await this.fetch(path, { method: "DELETE" });
  }

  /** A file's bytes. */
  async blob(path, signal) {
    return (await this.fetch(path, { signal })).blob();
  }

  /** The answer itself; throws Refused for any that is not a success. */
  async fetch(path, options = {}) {
    const headers = { ...options.headers, Authorization: `Bearer ${this.#key}` };
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused({ title: "No answer", detail: "The service does not answer.", code: "UNREACHABLE", status: 0 });
    }
    if (answer.ok) return answer;
    const problem = await problemOf(answer);
    if (answer.status === 401) this.#onUnknownKey();
    throw new Refused(problem);
  }
}

async function problemOf(answer) {
  const unreadable = { title: answer.statusText, detail: `The answer was ${answer.status}.`, code: "UNKNOWN" };
  const problem = await answer.json().catch(() => unreadable);
  return { ...problem, status: answer.status };
}
