/** What is told beside the view: short, read aloud, and gone by itself. */

import { h } from "./dom.js";

const SHOWN_MS = 6000;

export function notice(text, { bad = false } = {}) {
  const close = h(
    "button",
    { type: "button", class: "quiet small", "aria-label": "Close", onclick: () => shown.remove() },
    "×",
  );
  const shown = h("div", { class: `notice${bad ? " bad" : ""}` }, h("span", {}, text), close);
  document.getElementById("notices").append(shown);
  if (!bad) setTimeout(() => shown.remove(), SHOWN_MS);
}

/** Does something and tells if it was refused; returns whether it was done. */
export async function attempt(action) {
  try {
    await action();
    return true;
  } catch (error) {
    if (error.name !== "AbortError") notice(error.message, { bad: true });
    return false;
  }
}

/** Asks before something that cannot be taken back. */
export function confirmed(question, { yes }) {
  return new Promise((resolve) => {
    const answer = (value) => () => dialog.close(value);
    const dialog = h(
      "dialog",
      {
        "aria-label": question,
        onclose: () => {
          dialog.remove();
          resolve(dialog.returnValue === "yes");
        },
      },
      h(
        "div",
        { class: "stack" },
        h("p", {}, question),
        h(
          "div",
          { class: "row" },
          h("button", { type: "button", class: "danger end", onclick: answer("yes") }, yes),
          h("button", { type: "button", autofocus: true, onclick: answer("no") }, "Keep it"),
        ),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}
