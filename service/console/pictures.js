/** Pictures that only a key can see: fetched with it, shown from memory. */

import { h } from "./dom.js";

const MOST_KEPT = 60;
// A drawn scene keeps its pixels when it is enlarged; a photograph is smoothed.
const DRAWN_PIXELS = 128;

/** Blobs by path, the oldest first. Files of a job never change, so that a path is asked for once. */
const kept = new Map();

/** A blob's address, for as long as it is among the last that were asked for. */
export async function pictureUrl(api, path, signal) {
  if (!kept.has(path)) {
    const blob = await api.blob(path, signal);
    if (!kept.has(path)) kept.set(path, URL.createObjectURL(blob));
    for (const [oldest, url] of kept) {
      if (kept.size <= MOST_KEPT) break;
      URL.revokeObjectURL(url);
      kept.delete(oldest);
    }
  }
  return kept.get(path);
}

/** An image element that fills itself; without a picture it stays a quiet ground. */
export function picture(api, path, { alt, signal }) {
  const image = h("img", { alt, class: "loading", draggable: "false" });
  image.addEventListener("load", () => {
    image.classList.remove("loading");
    image.classList.toggle("drawn", image.naturalWidth <= DRAWN_PIXELS);
  });
  pictureUrl(api, path, signal).then(
    (url) => {
      image.src = url;
    },
    () => image.classList.add("missing"),
  );
  return image;
}

/** Keeps nothing of whoever has signed out. */
export function forgetPictures() {
  for (const url of kept.values()) URL.revokeObjectURL(url);
  kept.clear();
}
