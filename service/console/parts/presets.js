/** Good first choices, of the methods that this deployment has. */

import { h } from "../dom.js";

/** Each gives the fields of a request. `method` must be one that is offered. */
export const INVERSION_PRESETS = [
  { name: "Standard", hint: "Learns the picture; the best edits", method: "stylediffusion", body: () => ({}) },
  {
    name: "Quick",
    hint: "Ten steps; a first look",
    method: "stylediffusion",
    body: () => ({ parameters: { timesteps: 10 } }),
  },
  { name: "Draft", hint: "Learns nothing; done in seconds", method: "ddim", body: () => ({}) },
];

// The windows for another object are those of the README's table: let go of the old shape early.
const NEW_OBJECT = { value_window: 0.2, cross_window: 0.3, self_window: 0.2, uncond_window: 0.5 };

export const EDIT_PRESETS = [
  { name: "Keep the shape", hint: "A colour, a texture, one more word", method: "p2plus", body: () => ({}) },
  {
    name: "New object",
    hint: "Lets go of the old shape early",
    method: "p2plus",
    body: () => ({ parameters: NEW_OBJECT }),
  },
  { name: "Only there", hint: "Nothing outside the changed words", method: "p2plus", body: onlyThere },
  { name: "Try several", hint: "Many settings, the best four", body: () => ({ search: true, count: 4 }) },
];

/** @throws {Error} unless words were exchanged */
function onlyThere({ removed, added }) {
  if (!removed.length || !added.length) {
    throw new Error("“Only there” needs a word of the first sentence that is exchanged for another.");
  }
  return { parameters: { blend: { source_words: removed.slice(0, 16), target_words: added.slice(0, 16) } } };
}

/** The presets as a group of cards, of which one is chosen, and last the caller's own settings. */
export function presetChoice({ legend, presets, methods, onOwn }) {
  const offered = presets.filter(({ method }) => method === undefined || methods.some(({ name }) => name === method));
  const own = { name: "My own", hint: "Method and parameters by hand", own: true };
  const group = `presets-${crypto.randomUUID?.() ?? legend}`;
  let chosen = offered[0] ?? own;
  const choose = (preset) => {
    chosen = preset;
    onOwn(Boolean(preset.own));
  };
  const cards = [...offered, own].map((preset) =>
    h(
      "label",
      { class: "choice" },
      h("input", { type: "radio", name: group, checked: preset === chosen, onchange: () => choose(preset) }),
      h("strong", {}, preset.name),
      h("span", { class: "hint" }, preset.hint),
    ),
  );
  const element = h("fieldset", {}, h("legend", {}, legend), h("div", { class: "choices" }, cards));
  return { element, chosen: () => chosen };
}
