/** Signing in with a key. */

import { field, h } from "../dom.js";

/** @param {{reason: ?string, signIn: (key: string) => Promise<void>}} options */
export function signInView({ reason, signIn }) {
  const key = h("input", {
    type: "password",
    name: "key",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "sk_…",
  });
  const problem = h("p", { class: "problem", role: "alert", hidden: reason === null }, reason ?? "");
  const button = h("button", { class: "primary", type: "submit" }, "Sign in");
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await signIn(key.value.trim());
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      key.setAttribute("aria-invalid", "true");
      key.focus();
    }
    button.disabled = false;
  };
  const hint = [
    h("code", {}, "stylediffusion up"),
    " prints one. It is kept until this tab is closed, and sent to this service only.",
  ];
  const element = h(
    "form",
    { class: "sign-in card", onsubmit: submit },
    h("h1", {}, "Edit pictures by words"),
    h(
      "p",
      { class: "lead" },
      "Say what a picture shows, then say what it should show instead. Only what the words name changes.",
    ),
    problem,
    field("API key", key, hint),
    button,
    h("p", { class: "hint" }, "You write code? See the ", h("a", { href: "/docs" }, "API reference"), "."),
  );
  return { element };
}
