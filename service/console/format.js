/** Numbers, times and states as people read them. */

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const AGO = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

const STATES = { in_progress: "in progress" };

export const stateName = (state) => STATES[state] ?? state;

/** "3 min. ago", or the date when that is longer ago than a week. */
export function ago(moment) {
  const seconds = (new Date(moment) - Date.now()) / 1000;
  if (Math.abs(seconds) > 7 * 86_400) return WHEN.format(new Date(moment));
  const [unit, size] = UNITS.find(([, least]) => Math.abs(seconds) >= least) ?? ["second", 1];
  return AGO.format(Math.round(seconds / size), unit);
}

export const when = (moment) => (moment === null ? "–" : WHEN.format(new Date(moment)));

/** "0.8 s", "42 s", "3 min 20 s", "2 h 5 min". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.05) return "0 s";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** From the start of a job to its end, or until now. */
export function took(job) {
  if (job.duplicate_of !== null) return "shared";
  if (job.started_at === null) return "–";
  const end = job.finished_at === null ? Date.now() : new Date(job.finished_at);
  return duration((end - new Date(job.started_at)) / 1000);
}

export function bytes(count) {
  const [unit, size] = [
    ["GB", 2 ** 30],
    ["MB", 2 ** 20],
    ["kB", 2 ** 10],
  ].find(([, least]) => count >= least) ?? ["B", 1];
  return `${(count / size).toFixed(size > 1 && count / size < 10 ? 1 : 0)} ${unit}`;
}

export const count = (number) => new Intl.NumberFormat().format(number);

/** What a job is doing, in a few words. */
export function standing(job) {
  if (job.cancel_requested && !job.done) return "Stopping…";
  if (job.state === "waiting") return job.kind === "edit" ? "Waits for its picture" : "Waits for an equal job";
  if (job.state === "queued") return place(job.queue);
  if (job.state !== "running") return "";
  const { timestep, timesteps, eta_seconds } = job.progress;
  if (!timesteps) return "Starting…";
  return `Step ${timestep} of ${timesteps}${eta_seconds === null ? "" : `, about ${duration(eta_seconds)} left`}`;
}

function place(queue) {
  if (!queue) return "In the queue";
  if (!queue.workers) return "No worker is ready; waits for one";
  const wait = queue.estimated_wait_seconds === null ? "" : `, about ${duration(queue.estimated_wait_seconds)}`;
  return queue.position ? `${queue.position} before it${wait}` : `Next in the queue${wait}`;
}
