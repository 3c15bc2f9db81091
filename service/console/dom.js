/** How views make elements. Text becomes text nodes, never HTML: the page's policy forbids every other way. */

/**
 * An element with its attributes and children.
 *
 * @param {string} tag
 * @param {Object} attributes - `on…` are listeners; true sets one bare, false, null and undefined leave it out
 * @param {...(Node|string|number|null|undefined|Array)} children - what is neither a node nor nothing becomes text
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** An element of a drawing. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Puts these children in the place of all others. */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return parent;
}

let lastId = 0;

/** A labelled control, with a hint that is read out with it. */
export function field(text, control, hint) {
  control.id ||= `field-${(lastId += 1)}`;
  const note = hint ? h("p", { class: "hint", id: `${control.id}-hint` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "stack close" }, h("label", { for: control.id }, text), control, note);
}

/** Text for those who hear the page instead of seeing it. */
export function spoken(text) {
  return h("span", { class: "hidden-text" }, text);
}
