/** A job's events as they happen, read with the key in a header, which the browser's own EventSource cannot send. */

import { Refused } from "./api.js";

const AGAIN_AFTER_MS = [500, 1000, 2000, 5000, 10_000];

/**
 * Every event of a job until its end; goes on after a broken connection where it stood.
 *
 * @param {string} path - of the stream
 * @yields {{name: string, data: Object}}
 */
export async function* jobEvents(api, path, signal) {
  let last = null;
  for (let failures = 0; !signal.aborted;) {
    try {
      const headers = last === null ? {} : { "Last-Event-ID": last };
      const answer = await api.fetch(path, { headers, signal });
      if (answer.status === 204) return;
      for await (const event of parsed(answer.body)) {
        failures = 0;
        last = event.id ?? last;
        yield event;
        if (event.name === "done") return;
      }
    } catch (error) {
      if (signal.aborted || isFinal(error)) return;
    }
    await pause(AGAIN_AFTER_MS[Math.min(failures++, AGAIN_AFTER_MS.length - 1)], signal);
  }
}

/** Resolves after a while, or when the view is left. */
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}

function isFinal(error) {
  const status = error instanceof Refused ? error.problem.status : 0;
  return status >= 400 && status < 500 && status !== 429;
}

async function* parsed(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      yield* blocks.map(eventOf).filter((event) => event !== null);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Null for a comment, which only keeps the connection open. */
function eventOf(block) {
  const fields = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
  }
  return fields.event ? { name: fields.event, id: fields.id ?? null, data: JSON.parse(fields.data) } : null;
}
