/** A place for one picture: dropped, pasted, or chosen. */

import { fill, h } from "../dom.js";

const TYPES = ["image/png", "image/jpeg", "image/webp"];

/** @param {{signal: AbortSignal, onFile: (file: File) => void}} options */
export function dropZone({ signal, onFile }) {
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const input = h("input", {
    type: "file",
    accept: TYPES.join(),
    class: "hidden-text",
    onchange: () => take(input.files[0]),
  });
  const shown = h("div", { class: "drop-shown" }, invitation());
  const zone = h("label", { class: "drop" }, input, shown);
  let file = null;
  let url = null;

  function take(given) {
    problem.hidden = true;
    if (!given) return;
    if (!TYPES.includes(given.type)) {
      problem.textContent = "That is not a picture that can be edited: PNG, JPEG and WebP are.";
      problem.hidden = false;
      return;
    }
    file = given;
    if (url !== null) URL.revokeObjectURL(url);
    url = URL.createObjectURL(given);
    const image = h("img", { src: url, alt: `Your picture, ${given.name}` });
    image.addEventListener("load", () => image.classList.toggle("drawn", image.naturalWidth <= 128));
    fill(shown, image, h("span", { class: "drop-again" }, "Another picture"));
    onFile(file);
  }

  for (const name of ["dragover", "dragenter"]) zone.addEventListener(name, (event) => hover(event, true));
  zone.addEventListener("dragleave", (event) => hover(event, false));
  zone.addEventListener("drop", (event) => {
    hover(event, false);
    take(event.dataTransfer.files[0]);
  });
  function hover(event, over) {
    event.preventDefault();
    zone.classList.toggle("over", over);
  }
  document.addEventListener("paste", (event) => take(event.clipboardData.files[0]), { signal });
  signal.addEventListener("abort", () => url !== null && URL.revokeObjectURL(url));
  return { element: h("div", { class: "stack close" }, zone, problem), file: () => file, take };
}

function invitation() {
  return h(
    "span",
    { class: "drop-words" },
    h("strong", {}, "Drop a picture here"),
    h("span", {}, "or paste it, or press to choose one"),
    h("span", { class: "hint" }, "PNG, JPEG or WebP, up to 32 MiB"),
  );
}
