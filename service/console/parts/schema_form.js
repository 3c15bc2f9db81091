/** A form made of a method's JSON Schema: each parameter with its bounds and what it means. */

import { field, h } from "../dom.js";

/**
 * The form, and what of it differs from the defaults.
 *
 * @param {Object} schema - of GET /methods
 * @param {Object} defaults - that stand before the method's own
 */
export function schemaForm(schema, defaults = {}) {
  const parts = Object.entries(schema.properties).map(([name, property]) => {
    const resolved = resolve(property, schema.$defs ?? {});
    return parameter(name, { ...resolved, default: defaults[name] ?? resolved.default });
  });
  const element = h(
    "div",
    { class: "settings" },
    parts.map((part) => part.element),
  );
  return {
    element,
    /** @throws {Error} where a document cannot be read */
    values: () => Object.fromEntries(parts.filter((part) => part.isChanged()).map((part) => [part.name, part.value()])),
    set: (values) => parts.forEach((part) => part.set(values[part.name])),
  };
}

function resolve(property, definitions) {
  const { $ref, ...own } = property;
  return $ref === undefined ? property : { ...definitions[$ref.split("/").at(-1)], ...own };
}

function parameter(name, property) {
  const control = controlOf(property);
  const initial = property.default;
  const set = (value) => control.write(value === undefined ? initial : value);
  set(undefined);
  const title = name.replaceAll("_", " ");
  const element = control.checked
    ? h(
        "div",
        {},
        h("label", { class: "check" }, control.input, title),
        h("p", { class: "hint" }, property.description),
      )
    : field(title, control.input, property.description);
  const read = () => {
    try {
      return control.read();
    } catch {
      throw new Error(`“${title}” cannot be read: it must be JSON.`);
    }
  };
  const isChanged = () => JSON.stringify(read()) !== JSON.stringify(initial);
  return { name, element, value: read, set, isChanged };
}

function controlOf(property) {
  if (property.type === "boolean") return checkBox();
  if (property.enum) return choice(property.enum);
  if (property.type === "integer" || property.type === "number") return numberBox(property);
  if (property.type === "string") return textBox();
  return documentBox();
}

function checkBox() {
  const input = h("input", { type: "checkbox" });
  return {
    input,
    checked: true,
    read: () => input.checked,
    write: (value) => {
      input.checked = Boolean(value);
    },
  };
}

function choice(values) {
  const input = h(
    "select",
    {},
    values.map((value) => h("option", {}, value)),
  );
  return {
    input,
    read: () => input.value,
    write: (value) => {
      input.value = value;
    },
  };
}

function numberBox({ type, minimum, maximum, exclusiveMinimum }) {
  const input = h("input", {
    type: "number",
    inputmode: "decimal",
    step: type === "integer" ? "1" : "any",
    min: minimum ?? exclusiveMinimum,
    max: maximum,
  });
  return {
    input,
    read: () => (input.value === "" ? null : Number(input.value)),
    write: (value) => {
      input.value = value ?? "";
    },
  };
}

function textBox() {
  const input = h("input", { type: "text" });
  return {
    input,
    read: () => input.value,
    write: (value) => {
      input.value = value ?? "";
    },
  };
}

/** What has no control of its own is written as JSON; empty: nothing. */
function documentBox() {
  const input = h("textarea", { rows: "2", spellcheck: "false" });
  return {
    input,
    read: () => (input.value.trim() === "" ? null : JSON.parse(input.value)),
    write: (value) => {
      input.value = value === null || value === undefined ? "" : JSON.stringify(value);
    },
  };
}
