/** All batches, the newest first, kept up to date. */

import { h } from "../dom.js";
import { pause } from "../events.js";
import { ago, count } from "../format.js";
import { batchButtons, countsPart } from "../parts/batch_parts.js";
import { badge, whenChanged } from "../parts/job_parts.js";

const PAGE = 20;
const LOOK_AGAIN_MS = 3000;

export function batchesView({ api, signal }) {
  const list = h("ul", { class: "stack" });
  const older = h("ul", { class: "stack" });
  const none = h(
    "p",
    { class: "card empty", hidden: true },
    "No batch yet. Send many edits at once with ",
    h("code", {}, "POST /batches"),
    "; see the ",
    h("a", { href: "/docs" }, "API reference"),
    ".",
  );
  const more = h("button", { type: "button", hidden: true, onclick: () => loadMore() }, "Show more");
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const show = whenChanged(list, (items) => items.map((batch) => card(api, batch, load)));
  let next = null;

  async function load() {
    const page = await api.get(`/batches?page_size=${PAGE}`, signal);
    show(page.items);
    none.hidden = page.items.length > 0;
    if (!older.children.length) more.hidden = (next = page.next_page_token) === null;
  }
  async function loadMore() {
    const page = await api.get(`/batches?page_size=${PAGE}&page_token=${next}`, signal);
    older.append(...page.items.map((batch) => card(api, batch, load)));
    more.hidden = (next = page.next_page_token) === null;
  }
  run({ signal, load, problem });
  const element = h(
    "div",
    {},
    h("div", { class: "view-head" }, h("div", {}, h("h1", {}, "Batches"))),
    problem,
    h("div", { class: "stack" }, list, older, none, h("div", { class: "row more" }, more)),
  );
  return { title: "Batches", element };
}

/** Loads again and again while the view is seen; what goes wrong stands in `problem` until it goes well. */
export async function run({ signal, load, problem, every = LOOK_AGAIN_MS }) {
  while (!signal.aborted) {
    if (document.visibilityState === "visible") {
      try {
        await load();
        problem.hidden = true;
      } catch (error) {
        if (error.name === "AbortError") return;
        problem.textContent = error.message;
        problem.hidden = false;
      }
    }
    await pause(every, signal);
  }
}

function card(api, batch, changed) {
  const about = Object.entries(batch.metadata)
    .map(([key, value]) => `${key}: ${value}`)
    .join(", ");
  return h(
    "li",
    { class: "card stack close" },
    h(
      "div",
      { class: "row" },
      badge(batch.state),
      h("a", { class: "job-link", href: `#/batches/${batch.id}` }, about || `${count(batch.total)} items`),
      h("span", { class: "tiny soft" }, about ? `${count(batch.total)} items, ` : "", ago(batch.created_at)),
      h("span", { class: "row end" }, batchButtons(api, batch, changed)),
    ),
    countsPart(batch),
  );
}
