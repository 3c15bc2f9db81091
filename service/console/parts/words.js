/** A sentence whose words light up where they act in the picture. */

import { h } from "../dom.js";
import { pictureUrl } from "../pictures.js";

// How GET /inversions/{id}/attention lays its tiles out: one a word in a row, this far apart, this far from the edge.
const GAP_PIXELS = 4;

/**
 * The words as buttons; looking at one shows its heat map over the picture.
 *
 * @param {HTMLElement} over - what shows the picture, and gets the heat map
 */
export function litWords(api, inversion, { over, signal }) {
  const words = inversion.result?.words ?? [];
  const canvas = h("canvas", { class: "heat", hidden: true, role: "img" });
  over.append(canvas);
  let pinned = null;
  const sheet = pictureUrl(api, `${inversion.links.self}/attention`, signal).then(loaded);
  sheet.catch(() => {});

  async function light(number) {
    if (number === null) {
      canvas.hidden = true;
      return;
    }
    drawTile(canvas, await sheet, { number, of: words.length });
    canvas.setAttribute("aria-label", `Where “${words[number]}” acts`);
    canvas.hidden = false;
  }
  const pin = (number) => {
    pinned = pinned === number ? null : number;
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(at === pinned)));
    light(pinned);
  };
  const buttons = words.map((word, number) =>
    h(
      "button",
      {
        type: "button",
        class: "word",
        "aria-pressed": "false",
        onmouseenter: () => light(number),
        onmouseleave: () => light(pinned),
        onclick: () => pin(number),
      },
      word,
    ),
  );
  return h(
    "div",
    { class: "stack close" },
    h("div", { class: "words", role: "group", "aria-label": "Words of the sentence" }, buttons),
    h("p", { class: "hint" }, "Point at a word to see where it acts, press to keep it."),
  );
}

async function loaded(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

function drawTile(canvas, sheet, { number, of }) {
  const pitch = (sheet.naturalWidth - GAP_PIXELS) / of;
  const side = pitch - GAP_PIXELS;
  canvas.width = canvas.height = side;
  canvas.getContext("2d").drawImage(sheet, GAP_PIXELS + number * pitch, GAP_PIXELS, side, side, 0, 0, side, side);
}
