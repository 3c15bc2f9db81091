/** What is shown of any batch: how many items stand where, and what can be done with it. */

import { h } from "../dom.js";
import { count } from "../format.js";
import { attempt } from "../notices.js";

const ORDER = ["succeeded", "failed", "expired", "canceled", "running", "queued", "waiting"];

/** The items as one bar, a piece for each state, and the numbers beneath. */
export function countsPart(batch) {
  const shown = ORDER.filter((state) => batch.request_counts[state] > 0);
  const text = shown.map((state) => `${count(batch.request_counts[state])} ${state}`);
  const pieces = shown.map((state) => {
    const piece = h("span", { class: `piece ${state}` });
    piece.style.setProperty("flex-grow", batch.request_counts[state]);
    return piece;
  });
  const legend = shown.map((state, at) =>
    h("li", { class: "row" }, h("span", { class: `dot piece ${state}`, "aria-hidden": "true" }), text[at]),
  );
  return h(
    "div",
    { class: "stack close" },
    h(
      "div",
      { class: "pieces", role: "img", "aria-label": `Of ${count(batch.total)} items: ${text.join(", ")}` },
      pieces,
    ),
    h("ul", { class: "row legend tiny soft" }, legend),
  );
}

export function batchButtons(api, batch, changed) {
  const press = (text, path, attributes = {}) => {
    const button = h(
      "button",
      {
        type: "button",
        class: "small",
        ...attributes,
        onclick: async () => {
          button.disabled = true;
          await attempt(async () => changed(await api.post(path)));
          button.disabled = false;
        },
      },
      text,
    );
    return button;
  };
  const failed = batch.request_counts.failed;
  return [
    batch.state === "in_progress" ? press("Cancel", batch.links.cancel) : null,
    failed && batch.state !== "canceling" ? press(`Try ${count(failed)} failed again`, batch.links.retry_failed) : null,
  ];
}
