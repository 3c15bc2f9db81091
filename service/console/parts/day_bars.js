/** What was computed on each day, as bars and, for those who hear the page, as a table. */

import { h, svg } from "../dom.js";
import { count, duration } from "../format.js";

const HEIGHT = 100;
const DAY_MS = 86_400_000;

/** @param {{day: string, jobs: number, compute_seconds: number}[]} used - only days on which anything was used */
export function dayBars(used, { first, last }) {
  const byDay = new Map(used.map((day) => [day.day, day]));
  const days = daysBetween(first, last);
  const most = Math.max(1, ...used.map(({ compute_seconds }) => compute_seconds));
  const bars = days.map((day, at) => bar(byDay.get(day), { day, at, most }));
  const chart = svg(
    "svg",
    { viewBox: `0 0 ${days.length * 10} ${HEIGHT}`, preserveAspectRatio: "none", class: "bars", "aria-hidden": "true" },
    ...bars,
  );
  const rows = used.map((day) =>
    h("tr", {}, h("td", {}, day.day), h("td", {}, count(day.jobs)), h("td", {}, duration(day.compute_seconds))),
  );
  return h(
    "figure",
    { class: "stack close" },
    chart,
    h("div", { class: "row tiny soft" }, h("span", {}, first), h("span", { class: "end" }, last)),
    h(
      "details",
      {},
      h("summary", {}, "As a table"),
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Day", "Jobs", "Computed"].map((text) => h("th", { scope: "col" }, text)),
          ),
        ),
        h("tbody", {}, rows),
      ),
    ),
  );
}

function bar(used, { day, at, most }) {
  const height = used ? Math.max(2, (used.compute_seconds / most) * HEIGHT) : 1;
  const title = svg(
    "title",
    {},
    `${day}: ${used ? `${count(used.jobs)} jobs, ${duration(used.compute_seconds)}` : "nothing"}`,
  );
  return svg(
    "rect",
    { x: at * 10 + 1.5, y: HEIGHT - height, width: 7, height, class: used ? "used" : "unused" },
    title,
  );
}

function daysBetween(first, last) {
  const [from, to] = [Date.parse(first), Date.parse(last)];
  return Array.from({ length: (to - from) / DAY_MS + 1 }, (_, at) =>
    new Date(from + at * DAY_MS).toISOString().slice(0, 10),
  );
}
