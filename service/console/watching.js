/** A job kept up to date: by its events, and while it is queued by asking for its place. */

import { jobEvents, pause } from "./events.js";

const PLACE_EVERY_MS = 3000;

/**
 * Tells every change of a job until it is done or the view is left.
 *
 * @param {{show: (job: Object) => void, preview?: (path: string) => void}} listener
 */
export async function watchJob(api, job, { signal, listener }) {
  listener.show(job);
  if (job.done) return;
  const left = new AbortController();
  signal.addEventListener("abort", () => left.abort(), { once: true });
  let latest = job;
  const show = (changed) => listener.show((latest = changed));
  askForPlace(api, () => latest, { signal: left.signal, show });
  try {
    for await (const { name, data } of jobEvents(api, job.links.events, left.signal)) {
      if (name === "progress") show({ ...latest, state: "running", queue: null, progress: progressOf(data) });
      else if (name === "preview") listener.preview?.(data.url);
      else if (name === "done") show(data);
      else if (name === "state" && data.state !== latest.state) show({ ...latest, state: data.state });
    }
    if (!latest.done && !signal.aborted) show(await api.get(job.links.self, signal));
  } catch {
    // The job stays as it was last seen.
  } finally {
    left.abort();
  }
}

function progressOf({ step, steps, fraction, eta_seconds }) {
  return { timestep: step, timesteps: steps, fraction, eta_seconds };
}

async function askForPlace(api, latest, { signal, show }) {
  while (!signal.aborted && !latest().done) {
    if (latest().state === "queued" && document.visibilityState === "visible") {
      const job = await api.get(latest().links.self, signal).catch(() => null);
      if (job !== null && !signal.aborted && latest().state === "queued") show(job);
    }
    await pause(PLACE_EVERY_MS, signal);
  }
}
