/** The console: who is signed in, and which view the address names. */

import { Api } from "./api.js";
import { fill, h } from "./dom.js";
import { notice } from "./notices.js";
import { forgetPictures } from "./pictures.js";
import { chooseTheme, forgetKey, savedKey, saveKey, showTheme, theme } from "./session.js";
import { batchView } from "./views/batch.js";
import { batchesView } from "./views/batches.js";
import { editorView } from "./views/editor.js";
import { jobView } from "./views/job.js";
import { jobsView } from "./views/jobs.js";
import { operationsView } from "./views/operations.js";
import { pictureView } from "./views/picture.js";
import { signInView } from "./views/sign_in.js";

const LINKS = [
  ["#/", "Pictures"],
  ["#/jobs", "Jobs"],
  ["#/batches", "Batches"],
  ["#/operations", "Operations"],
];
const ROUTES = [
  [/^#?\/?$/, pictureView, "#/"],
  [/^#\/pictures\/(inv_\w+)$/, editorView, "#/"],
  [/^#\/jobs$/, jobsView, "#/jobs"],
  [/^#\/jobs\/(\w+)$/, jobView, "#/jobs"],
  [/^#\/batches$/, batchesView, "#/batches"],
  [/^#\/batches\/(bat_\w+)$/, batchView, "#/batches"],
  [/^#\/operations$/, operationsView, "#/operations"],
];

const place = document.getElementById("view");
const navigation = document.getElementById("navigation");
const account = document.getElementById("account");
let leaving = new AbortController();
let user = null; // {api, tenant, catalogue}

/** What a view is given: the service, what it offers, and a signal that it has been left. */
function context() {
  leaving.abort();
  leaving = new AbortController();
  return { ...user, signal: leaving.signal };
}

function show() {
  const [pattern, view, section] = ROUTES.find(([pattern]) => pattern.test(location.hash)) ?? ROUTES[0];
  fill(
    navigation,
    LINKS.map(([href, text]) => h("a", { href, "aria-current": href === section ? "page" : null }, text)),
  );
  navigation.hidden = false;
  const { title, element } = view(context(), pattern.exec(location.hash)?.[1]);
  document.title = `${title} · StyleDiffusion`;
  fill(place, element);
  scrollTo(0, 0);
  place.focus({ preventScroll: true });
}

function showSignIn(reason) {
  leaving.abort();
  user = null;
  navigation.hidden = true;
  document.title = "Sign in · StyleDiffusion";
  fill(account, themeChoice());
  fill(place, signInView({ reason, signIn }).element);
}

function showAccount() {
  const out = h("button", { type: "button", class: "quiet small", onclick: signOut }, "Sign out");
  fill(account, h("span", { class: "tenant", title: "The key's tenant" }, user.tenant), themeChoice(), out);
}

function themeChoice() {
  const names = [
    ["", "Auto"],
    ["light", "Light"],
    ["dark", "Dark"],
  ];
  const options = names.map(([value, text]) => h("option", { value, selected: value === theme() }, text));
  return h("select", { "aria-label": "Light or dark", onchange: (event) => chooseTheme(event.target.value) }, options);
}

/** Takes a key that the service knows; throws Refused for any other. */
async function signIn(key) {
  let known = false;
  const api = new Api(key, () => known && signOut("The service no longer knows this key. Sign in again."));
  const [usage, methods, models] = await Promise.all(
    ["/usage?days=1", "/methods", "/models"].map((path) => api.get(path)),
  );
  known = true;
  saveKey(key);
  user = { api, tenant: usage.tenant, catalogue: { ...methods, model: models[0] } };
  showAccount();
  show();
}

function signOut(reason) {
  forgetKey();
  forgetPictures();
  showSignIn(typeof reason === "string" ? reason : null);
}

async function start() {
  showTheme();
  addEventListener("hashchange", () => user && show());
  // The address after # names a view, so that the link cannot lead there by itself.
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    place.focus();
  });
  const key = savedKey();
  if (key === null) return showSignIn(null);
  try {
    await signIn(key);
  } catch (error) {
    showSignIn(error.message);
  }
}

addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name === "AbortError") return event.preventDefault();
  notice(event.reason?.message ?? "Something went wrong.", { bad: true });
});
start();
