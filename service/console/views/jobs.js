/** All jobs, filtered, the newest first, kept up to date while any is unfinished. */

import { field, fill, h } from "../dom.js";
import { pause } from "../events.js";
import { ago, standing, took } from "../format.js";
import { jobButtons } from "../parts/job_buttons.js";
import { badge } from "../parts/job_parts.js";

const PAGE = 30;
const LOOK_AGAIN_MS = 4000;
const STATES = ["waiting", "queued", "running", "succeeded", "failed", "canceled", "expired"];

export function jobsView(context) {
  const body = h("tbody");
  const none = h("p", { class: "empty", hidden: true }, "No job fits.");
  const more = h("button", { type: "button", hidden: true, onclick: () => list.more() }, "Show more");
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const filters = filterForm(context, () => list.load());
  const list = jobList(context, { filters, body, none, more, problem });
  const heads = ["Job", "State", "Method", "Made", "Took"].map((text) => h("th", { scope: "col" }, text));
  const element = h(
    "div",
    {},
    h("div", { class: "view-head" }, h("div", {}, h("h1", {}, "Jobs"))),
    filters.element,
    problem,
    h(
      "div",
      { class: "card table-card" },
      h(
        "table",
        { class: "jobs" },
        h("thead", {}, h("tr", {}, heads, h("th", { scope: "col" }, h("span", { class: "hidden-text" }, "Actions")))),
        body,
      ),
      none,
    ),
    h("div", { class: "row more" }, more),
  );
  list.run();
  return { title: "Jobs", element };
}

function filterForm({ catalogue }, changed) {
  const options = (names) => [h("option", { value: "" }, "All"), ...names.map((name) => h("option", {}, name))];
  const methods = [...new Set([...catalogue.inversions, ...catalogue.edits].map(({ name }) => name))].sort();
  const kind = h(
    "select",
    {},
    h("option", { value: "jobs" }, "All"),
    h("option", { value: "inversions" }, "Pictures learned"),
    h("option", { value: "edits" }, "Edits"),
  );
  const controls = { state: h("select", {}, options(STATES)), method: h("select", {}, options(methods)) };
  const after = h("input", { type: "datetime-local" });
  const metadata = h("input", { type: "text", placeholder: "campaign=spring", spellcheck: "false" });
  const element = h(
    "form",
    {
      class: "filters",
      "aria-label": "Filters",
      onchange: changed,
      onsubmit: (event) => {
        event.preventDefault();
        changed();
      },
    },
    field("Kind", kind),
    field("State", controls.state),
    field("Method", controls.method),
    field("Made after", after),
    field("Metadata", metadata),
  );
  const path = () => {
    const query = new URLSearchParams({ page_size: PAGE });
    for (const [name, control] of Object.entries(controls)) if (control.value) query.set(name, control.value);
    if (after.value) query.set("created_after", new Date(after.value).toISOString());
    const [key, value] = metadata.value.split(/=(.*)/s);
    if (key && value !== undefined) query.set(`metadata.${key.trim()}`, value.trim());
    return `/${kind.value}?${query}`;
  };
  return { element, path };
}

function jobList({ api, signal }, { filters, body, none, more, problem }) {
  const rows = new Map();
  let next = null;
  const row = (job) => {
    const shown = rows.get(job.id);
    const key = JSON.stringify(job);
    if (shown?.key === key) return shown.element;
    const element = jobRow(api, job, { changed: load, retried: load, deleted: load });
    shown?.element.replaceWith(element);
    rows.set(job.id, { key, element, job });
    return element;
  };
  async function load() {
    const page = await guarded(filters.path());
    if (page === null) return;
    const ids = new Set(page.items.map(({ id }) => id));
    for (const id of rows.keys()) if (!ids.has(id)) rows.delete(id);
    take(page, page.items.map(row));
  }
  async function loadMore() {
    const page = await guarded(`${filters.path()}&page_token=${next}`);
    if (page !== null) take(page, [...body.children, ...page.items.map(row)]);
  }
  function take(page, elements) {
    const before = [...body.children];
    if (elements.length !== before.length || elements.some((element, at) => element !== before[at]))
      fill(body, elements);
    next = page.next_page_token;
    more.hidden = next === null;
    none.hidden = elements.length > 0;
  }
  /** A page, or null for one that failed or that the filters do not ask for any more. */
  async function guarded(path) {
    const asked = filters.path();
    try {
      const page = await api.get(path, signal);
      problem.hidden = true;
      return asked === filters.path() ? page : null;
    } catch (error) {
      if (error.name === "AbortError") return null;
      problem.textContent = error.message;
      problem.hidden = false;
      return null;
    }
  }
  /** Pages that were asked for after the first stay as they are. */
  async function run() {
    while (!signal.aborted) {
      if (document.visibilityState === "visible" && rows.size <= PAGE) await load();
      await pause(LOOK_AGAIN_MS, signal);
    }
  }
  return { load, more: loadMore, run };
}

function jobRow(api, job, listener) {
  const text = job.inputs.target_prompt ?? job.inputs.source_prompt;
  const doing = standing(job);
  const cell = (label, ...children) => h("td", { "data-label": label }, children);
  return h(
    "tr",
    {},
    cell(
      "Job",
      h("a", { class: "job-link", href: `#/jobs/${job.id}` }, text),
      h("div", { class: "tiny soft" }, job.kind === "edit" ? "Edit" : "Picture", " ", h("code", {}, job.id)),
    ),
    cell("State", badge(job.state), doing ? h("div", { class: "tiny soft number" }, doing) : null),
    cell("Method", h("code", {}, job.method)),
    cell("Made", ago(job.created_at)),
    cell("Took", took(job)),
    h("td", { class: "actions" }, h("div", { class: "row" }, jobButtons(api, job, listener))),
  );
}
