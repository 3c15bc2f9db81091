/** The wish: another sentence for a picture, and how it is to be done. */

import { field, fill, h } from "../dom.js";
import { difference } from "../words.js";
import { tellUnknown } from "../views/picture.js";
import { methodChoice } from "./method_choice.js";
import { EDIT_PRESETS } from "./presets.js";

/** @param {{made: (job: Object) => void}} listener */
export function editForm({ api, catalogue, signal }, inversion, { made }) {
  const source = inversion.inputs.source_prompt;
  const target = h("textarea", { name: "target_prompt", required: true, rows: "2", maxlength: "2000" });
  target.value = source;
  const change = h("p", { class: "change", "aria-live": "polite" });
  const unknown = h("p", { class: "warning", hidden: true });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const send = h("button", { class: "primary", type: "submit" }, "Edit");
  const choice = methodChoice({
    legend: "What kind of change",
    presets: EDIT_PRESETS,
    methods: catalogue.edits,
    defaults: {},
  });
  const showChange = () => {
    const { parts, removed, added } = difference(source, target.value);
    const told = { removed: "del", added: "ins" };
    const shown = parts.flatMap(({ word, change }) => [change ? h(told[change], {}, word) : word, " "]);
    fill(
      change,
      removed.length || added.length ? shown : h("span", { class: "hint" }, "Change, add or leave out words."),
    );
    tellUnknown(unknown, target.value, catalogue.model);
  };
  target.addEventListener("input", showChange);
  showChange();

  async function submit(event) {
    event.preventDefault();
    problem.hidden = true;
    send.disabled = true;
    try {
      const body = choice.body(difference(source, target.value));
      made(await api.post("/edits", { inversion_id: inversion.id, target_prompt: target.value, ...body }, signal));
    } catch (error) {
      problem.textContent = sentenceOf(error);
      problem.hidden = false;
    }
    send.disabled = false;
  }
  return h(
    "form",
    { class: "card stack", onsubmit: submit, "aria-label": "A new edit" },
    h("h2", {}, "Edit"),
    field("What should it show instead?", target),
    change,
    unknown,
    choice.element,
    problem,
    h("div", { class: "row" }, send),
  );
}

function sentenceOf(error) {
  const faults = error.problem?.errors ?? [];
  return faults.length ? faults.map(({ pointer, detail }) => `${pointer}: ${detail}`).join(" ") : error.message;
}
