/** One batch: its numbers, and its newest results, read while it runs. */

import { h } from "../dom.js";
import { count, when } from "../format.js";
import { batchButtons, countsPart } from "../parts/batch_parts.js";
import { badge, whenChanged } from "../parts/job_parts.js";
import { picture } from "../pictures.js";
import { run } from "./batches.js";

const PICTURES = 12;
const FAILURES = 50;

export function batchView({ api, signal }, id) {
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const [head, numbers, buttons] = [
    h("div", { class: "row" }),
    h("div", { class: "card stack" }),
    h("div", { class: "row" }),
  ];
  const results = resultsPart(api, signal);
  const showHead = whenChanged(head, (state) => [badge(state)]);
  const showNumbers = whenChanged(numbers, numbersOf);
  const showButtons = whenChanged(buttons, (batch) => batchButtons(api, batch, show));
  function show(batch) {
    showHead(batch.state);
    showNumbers(batch);
    showButtons(batch);
  }
  let last = 0;
  let ended = false;
  async function load() {
    const batch = await api.get(`/batches/${id}`, signal);
    show(batch);
    if (!ended || batch.state !== "ended") last = await results.read(`${batch.links.results}?after=${last}`, last);
    ended = batch.state === "ended";
  }
  run({ signal, load, problem });
  const element = h(
    "div",
    { class: "stack wide" },
    h(
      "div",
      { class: "view-head" },
      h("div", { class: "stack close" }, head, h("h1", {}, "Batch"), h("code", { class: "soft" }, id)),
      h("div", { class: "actions" }, buttons),
    ),
    problem,
    numbers,
    results.element,
  );
  return { title: "Batch", element };
}

function numbersOf(batch) {
  const facts = {
    Items: count(batch.total),
    Made: when(batch.created_at),
    Ended: when(batch.ended_at),
    Expires: when(batch.expires_at),
    "Failures allowed": batch.max_failures === null ? "all" : count(batch.max_failures),
    ...batch.metadata,
  };
  return [
    countsPart(batch),
    h(
      "dl",
      { class: "facts" },
      Object.entries(facts).map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))),
    ),
  ];
}

/** The newest pictures, and the first items without one; of an item that was tried again the newest line counts. */
function resultsPart(api, signal) {
  const newest = new Map();
  const [pictures, failures] = [h("ul", { class: "gallery" }), h("tbody")];
  const heads = ["Item", "State", "Why"].map((text) => h("th", { scope: "col" }, text));
  const good = h(
    "section",
    { class: "stack", "aria-label": "Newest pictures", hidden: true },
    h("h2", {}, "Newest pictures"),
    pictures,
  );
  const bad = h(
    "section",
    { class: "stack", "aria-label": "Items without a picture", hidden: true },
    h("h2", {}, "Items without a picture"),
    h("div", { class: "card table-card" }, h("table", {}, h("thead", {}, h("tr", {}, heads)), failures)),
  );
  const showPictures = whenChanged(pictures, (lines) => lines.map((line) => tile(api, line, signal)));
  const showFailures = whenChanged(failures, (lines) => lines.map(row));

  async function read(path, last) {
    const text = await (await api.fetch(path, { signal })).text();
    for (const line of text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line))) {
      newest.delete(line.index);
      newest.set(line.index, line);
      last = line.sequence;
    }
    const lines = [...newest.values()];
    const done = lines
      .filter(({ state }) => state === "succeeded")
      .slice(-PICTURES)
      .reverse();
    const undone = lines.filter(({ state }) => state !== "succeeded").slice(0, FAILURES);
    good.hidden = !done.length;
    bad.hidden = !undone.length;
    showPictures(done);
    showFailures(undone);
    return last;
  }
  return { element: h("div", { class: "stack wide" }, good, bad), read };
}

function tile(api, line, signal) {
  const file = line.artifacts.find(({ name }) => name === "image");
  return h(
    "li",
    {},
    h(
      "a",
      { class: "tile", href: `#/jobs/${line.job_id}` },
      file ? picture(api, file.url, { alt: "", signal }) : null,
      h("span", { class: "tile-text" }, line.custom_id),
    ),
  );
}

function row({ index, custom_id, state, job_id, error }) {
  const name = custom_id ?? `number ${index}`;
  const faults = (error?.errors ?? []).map(({ pointer, detail }) =>
    h("div", { class: "tiny soft" }, h("code", {}, pointer), " ", detail),
  );
  return h(
    "tr",
    {},
    h("td", { "data-label": "Item" }, job_id ? h("a", { href: `#/jobs/${job_id}` }, name) : name),
    h("td", { "data-label": "State" }, badge(state)),
    h(
      "td",
      { "data-label": "Why" },
      error ? [error.detail, " ", h("code", { class: "tiny" }, error.code), faults] : "–",
    ),
  );
}
