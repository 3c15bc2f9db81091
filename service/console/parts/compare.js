/** Before and after in one place, with a line between that is dragged or moved by the arrow keys. */

import { h } from "../dom.js";

/** @param {{before: HTMLElement, after: HTMLElement}} pictures - of one size */
export function compare({ before, after }) {
  const slider = h("input", {
    type: "range",
    min: "0",
    max: "100",
    value: "50",
    "aria-label": "How much of the picture before is shown",
    oninput: () => show(slider.value),
  });
  const stage = h(
    "div",
    { class: "compare-stage" },
    h("div", { class: "compare-after" }, after),
    h("div", { class: "compare-before" }, before),
    h("span", { class: "compare-line", "aria-hidden": "true" }),
    h("span", { class: "compare-tag before", "aria-hidden": "true" }, "Before"),
    h("span", { class: "compare-tag after", "aria-hidden": "true" }, "After"),
    slider,
  );
  const show = (percent) => stage.style.setProperty("--cut", `${percent}%`);
  show(50);
  return h("figure", { class: "compare" }, stage);
}
