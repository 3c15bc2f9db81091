/** What the browser keeps: the key as long as its tab is open, and the choice of light or dark for ever. */

const KEY = "stylediffusion.key";
const THEME = "stylediffusion.theme";

/** The key that was given, or null. */
export function savedKey() {
  return sessionStorage.getItem(KEY);
}

export function saveKey(key) {
  sessionStorage.setItem(KEY, key);
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
}

/** "light", "dark", or "" for what the system says. */
export function theme() {
  return localStorage.getItem(THEME) ?? "";
}

export function chooseTheme(name) {
  localStorage.setItem(THEME, name);
  showTheme();
}

export function showTheme() {
  if (theme()) document.documentElement.dataset.theme = theme();
  else delete document.documentElement.dataset.theme;
}
