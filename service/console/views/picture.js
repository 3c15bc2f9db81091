/** A new picture and its sentence, and the pictures that are there. */

import { field, fill, h } from "../dom.js";
import { ago } from "../format.js";
import { dropZone } from "../parts/drop_zone.js";
import { badge } from "../parts/job_parts.js";
import { methodChoice } from "../parts/method_choice.js";
import { INVERSION_PRESETS } from "../parts/presets.js";
import { picture } from "../pictures.js";
import { unknownWords } from "../words.js";

const SHOWN = 12;
const EXAMPLE = { path: "/console/example.png", prompt: "a large purple circle on grass" };

export function pictureView(context) {
  const recent = h("section", { class: "stack", "aria-labelledby": "recent", hidden: true });
  showRecent(context, recent);
  const element = h(
    "div",
    { class: "stack wide" },
    h(
      "div",
      { class: "view-head" },
      h(
        "div",
        {},
        h("h1", {}, "Edit a picture by words"),
        h(
          "p",
          {},
          "Say what the picture shows. The service learns to give it back; then you say what it should show instead.",
        ),
      ),
    ),
    newPicture(context),
    recent,
  );
  return { title: "Pictures", element };
}

function newPicture({ api, catalogue, signal }) {
  const prompt = h("textarea", {
    name: "source_prompt",
    required: true,
    rows: "2",
    maxlength: "2000",
    placeholder: "a dog on a sofa",
  });
  const unknown = h("p", { class: "warning", hidden: true });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const send = h("button", { class: "primary", type: "submit" }, "Learn this picture");
  const drop = dropZone({
    signal,
    onFile: () => {
      problem.hidden = true;
      prompt.focus();
    },
  });
  const choice = methodChoice({
    legend: "How well",
    presets: INVERSION_PRESETS,
    methods: catalogue.inversions,
    defaults: catalogue.model?.defaults,
  });
  prompt.addEventListener("input", () => tellUnknown(unknown, prompt.value, catalogue.model));

  async function submit(event) {
    event.preventDefault();
    problem.hidden = true;
    send.disabled = true;
    try {
      if (drop.file() === null) throw new Error("A picture is missing: drop one, or choose a file.");
      const job = await api.post("/inversions", inversionForm(drop.file(), prompt.value, choice.body()), signal);
      location.hash = `#/pictures/${job.id}`;
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
    send.disabled = false;
  }
  const example = catalogue.model?.name === "pocket" ? exampleButton({ drop, prompt, signal }) : null;
  const hint = "One plain sentence. Name what you want to change.";
  return h(
    "form",
    { class: "card new-picture", onsubmit: submit, "aria-label": "A new picture" },
    h("div", { class: "stack close" }, drop.element, example),
    h(
      "div",
      { class: "stack" },
      field("What does the picture show?", prompt, hint),
      unknown,
      choice.element,
      problem,
      h("div", { class: "row" }, send),
    ),
  );
}

/** The packaged model knows drawn scenes only: one of them to begin with. */
function exampleButton({ drop, prompt, signal }) {
  const take = async () => {
    const picture = await (await fetch(EXAMPLE.path, { signal })).blob();
    drop.take(new File([picture], "scene.png", { type: "image/png" }));
    prompt.value = EXAMPLE.prompt;
  };
  return h(
    "div",
    {},
    h("button", { type: "button", class: "small quiet", onclick: take }, "No picture at hand? Take a drawn scene"),
  );
}

/** The multipart form of POST /inversions. */
function inversionForm(file, prompt, { parameters, ...rest }) {
  const form = new FormData();
  form.set("image", file);
  form.set("source_prompt", prompt);
  for (const [name, value] of Object.entries(rest)) form.set(name, value);
  if (parameters) form.set("parameters", JSON.stringify(parameters));
  return form;
}

/** A sentence about words that the model has never seen; no word, no sentence. */
export function tellUnknown(element, sentence, model) {
  const unknown = unknownWords(sentence, model);
  element.hidden = !unknown.length;
  const list = unknown.map((word) => `“${word}”`).join(", ");
  element.textContent = `The model ${model?.name} has never seen ${list}. It knows: ${model?.known_words?.join(", ")}.`;
}

async function showRecent({ api, signal }, section) {
  const { items } = await api.get(`/inversions?page_size=${SHOWN}`, signal);
  section.hidden = !items.length;
  fill(
    section,
    h("h2", { id: "recent" }, "Your pictures"),
    h(
      "ul",
      { class: "gallery" },
      items.map((job) => tile(api, job, signal)),
    ),
  );
}

function tile(api, job, signal) {
  const path =
    job.state === "succeeded" ? `${job.links.self}/artifacts/reconstruction` : `/images/${job.inputs.image_id}/content`;
  return h(
    "li",
    {},
    h(
      "a",
      { class: "tile", href: `#/pictures/${job.id}` },
      picture(api, path, { alt: "", signal }),
      h("span", { class: "tile-text" }, job.inputs.source_prompt),
      h("span", { class: "row tiny soft" }, job.state === "succeeded" ? null : badge(job.state), ago(job.created_at)),
    ),
  );
}
