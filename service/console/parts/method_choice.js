/** How a job is computed: a preset, or a method with its parameters by hand. */

import { field, fill, h } from "../dom.js";
import { count } from "../format.js";
import { presetChoice } from "./presets.js";
import { schemaForm } from "./schema_form.js";

/**
 * The choice, and the fields of a request that follow from it.
 *
 * @param {{legend: string, presets: Array, methods: Array, defaults: Object}} options - `methods` as of GET /methods
 */
export function methodChoice({ legend, presets, methods, defaults }) {
  const select = h(
    "select",
    { onchange: () => showMethod() },
    methods.map(({ name }) => h("option", {}, name)),
  );
  const seed = h("input", { type: "number", min: "0", step: "1", value: "0" });
  const about = h("p", { class: "hint" });
  const form = h("div");
  let parameters = null;
  const own = h(
    "div",
    { class: "stack", hidden: true },
    h(
      "div",
      { class: "settings" },
      field("Method", select),
      field("Seed", seed, "The same seed gives the same result."),
    ),
    about,
    form,
  );
  const preset = presetChoice({
    legend,
    presets,
    methods,
    onOwn: (is) => {
      own.hidden = !is;
    },
  });

  function showMethod() {
    const method = methods.find(({ name }) => name === select.value);
    const paper = h(
      "a",
      { href: method.citation.url, target: "_blank", rel: "noreferrer" },
      `${method.citation.authors} ${method.citation.year}`,
    );
    const { unet_forwards, unet_backwards } = method.cost;
    const passes = `${count(unet_forwards)} passes forward, ${count(unet_backwards)} back.`;
    fill(about, `${method.summary} `, paper, `. At the defaults up to ${passes}`);
    parameters = schemaForm(method.parameters, defaults);
    fill(form, parameters.element);
  }
  showMethod();

  /** @throws {Error} with a sentence for the user */
  const body = (words) =>
    preset.chosen().own
      ? { method: select.value, seed: Number(seed.value), parameters: parameters.values() }
      : { ...(preset.chosen().method ? { method: preset.chosen().method } : {}), ...preset.chosen().body(words) };
  return { element: h("div", { class: "stack" }, preset.element, own), body };
}
