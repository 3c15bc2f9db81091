/** For operators: whether all parts answer, how busy it is, what was used. */

import { h } from "../dom.js";
import { bytes, count, duration } from "../format.js";
import { badge, whenChanged } from "../parts/job_parts.js";
import { dayBars } from "../parts/day_bars.js";
import { run } from "./batches.js";

const DAYS = 30;
const PARTS = ["database", "store", "broker", "workers"];
const QUEUE_EVERY_MS = 3000;
const USAGE_EVERY_MS = 60_000;

export function operationsView(context) {
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const [parts, queue, usage] = [
    h("div", { class: "row" }),
    h("div", { class: "two" }),
    h("div", { class: "card stack" }),
  ];
  const element = h(
    "div",
    { class: "stack wide" },
    h("div", { class: "view-head" }, h("div", { class: "stack close" }, h("h1", {}, "Operations"), parts)),
    problem,
    section("Queue", queue),
    section(`Usage of the last ${DAYS} days`, usage),
    section("Model", h("div", { class: "card" }, modelPart(context.catalogue.model))),
  );
  const showParts = whenChanged(parts, (failing) => PARTS.map((part) => partBadge(part, failing)));
  const showQueue = whenChanged(queue, (loads) => loads.map(loadCard));
  const showUsage = whenChanged(usage, usageOf);
  const load = async () => {
    const [failing, loads] = await Promise.all([failingParts(), context.api.get("/queue", context.signal)]);
    showParts(failing);
    showQueue(loads);
  };
  const { signal } = context;
  run({ signal, load, problem, every: QUEUE_EVERY_MS });
  run({
    signal,
    problem,
    every: USAGE_EVERY_MS,
    load: async () => showUsage(await context.api.get(`/usage?days=${DAYS}`, signal)),
  });
  return { title: "Operations", element };
}

function section(title, content) {
  return h("section", { class: "stack", "aria-label": title }, h("h2", {}, title), content);
}

/** The parts that do not answer, by name, with the reason. */
async function failingParts() {
  const answer = await fetch("/readyz");
  if (answer.ok) return {};
  const { detail, failing = "" } = await answer.json();
  return Object.fromEntries(failing.split(", ").map((name) => [name, detail]));
}

function partBadge(name, failing) {
  const down = name in failing;
  const shown = badge(down ? "down" : "ok");
  shown.textContent = `${name} ${down ? "down" : "ok"}`;
  if (down) shown.title = failing[name];
  return shown;
}

function loadCard(load) {
  const facts = {
    Queued: count(load.depth),
    Running: `${count(load.running)} of ${count(load.slots)}`,
    Workers: count(load.workers),
    "Oldest waits": load.oldest_age_seconds === null ? "–" : duration(load.oldest_age_seconds),
    "A new job waits":
      load.estimated_wait_seconds === null ? "not known yet" : `about ${duration(load.estimated_wait_seconds)}`,
  };
  const stranded = load.stranded
    ? h("p", { class: "warning" }, `${count(load.stranded)} queued jobs need a model that no ready worker runs.`)
    : null;
  const busy = h("progress", {
    max: Math.max(load.slots, 1),
    value: Math.min(load.running, load.slots),
    "aria-label": "Slots in use",
  });
  const title = load.job_class === "batch" ? "Batches" : "Single jobs";
  return h("div", { class: "card stack" }, h("h3", {}, title), busy, factList(facts), stranded);
}

function usageOf({ days, first_day, last_day, jobs, compute_seconds, bytes: stored, limits }) {
  const daily = limits.compute_seconds_per_day;
  return [
    factList({
      "Jobs computed": count(jobs),
      "Time computed": duration(compute_seconds),
      "Results stored": bytes(stored),
      "Requests a minute": `at most ${count(limits.requests_per_minute)}`,
      "Unfinished jobs": `at most ${count(limits.max_unfinished_jobs)}`,
      "Computed a day": daily === null ? "no limit" : `at most ${duration(daily)}`,
    }),
    dayBars(days, { first: first_day, last: last_day }),
  ];
}

function modelPart(model) {
  return factList({
    Name: model.name,
    Revision: model.revision,
    Resolution: `${model.resolution_pixels} pixels`,
    "Longest sentence": `${model.max_tokens} tokens`,
    Words: model.known_words ? `${model.known_words.length} known` : "open",
  });
}

function factList(facts) {
  return h(
    "dl",
    { class: "facts" },
    Object.entries(facts).map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))),
  );
}
