/** One edit: how far it is, then before and after, its figures and its files. */

import { fill, h } from "../dom.js";
import { ago, took } from "../format.js";
import { picture, pictureUrl } from "../pictures.js";
import { watchJob } from "../watching.js";
import { difference } from "../words.js";
import { compare } from "./compare.js";
import { jobButtons } from "./job_buttons.js";
import { badge, progressPart, qualityPart, troubles, whenChanged } from "./job_parts.js";

/** @param {{again: (job: Object) => void}} listener - told of a job that was made to try this one again */
export function editCard(context, edit, { again }) {
  const { api, signal } = context;
  const element = h("li", { class: "card edit", "aria-label": `Edit: ${edit.inputs.target_prompt}` });
  const head = h("div", { class: "row" });
  const progress = progressPart();
  const preview = h("img", { class: "preview", alt: "The edit so far", hidden: true });
  const result = h("div", { class: "stack result" });
  const told = h("div", { class: "stack" });
  const buttons = h("div", { class: "row" });
  fill(
    element,
    h("div", { class: "result-stage" }, preview, result),
    h("div", { class: "stack edit-text" }, head, sentence(edit), progress.element, told, buttons),
  );

  const showHead = whenChanged(head, (state) => [
    badge(state),
    h("span", { class: "tiny soft" }, `${edit.method}, ${ago(edit.created_at)}`),
  ]);
  const showButtons = whenChanged(buttons, (job) => [
    job.state === "succeeded" ? saveButton(api, job, signal) : null,
    jobButtons(api, job, { changed: show, retried: again, deleted: () => element.remove() }),
    h("a", { class: "button small quiet", href: `#/jobs/${job.id}` }, "Details"),
  ]);
  const showResult = whenChanged(result, (job) => picturesOf(context, job));
  const showTold = whenChanged(told, (job) => [qualityPart(job.result?.quality), troubles(job)]);
  function show(job) {
    showHead(job.state);
    progress.show(job);
    showButtons({ ...job, progress: null, queue: null, metrics: null });
    if (!job.done) return;
    preview.hidden = true;
    showResult(job);
    showTold(job);
  }
  const showPreview = async (path) => {
    const url = await pictureUrl(api, path, signal).catch(() => null);
    preview.hidden = url === null;
    if (url !== null) preview.src = url;
  };
  watchJob(api, edit, { signal, listener: { show, preview: showPreview } });
  return element;
}

function sentence({ inputs }) {
  const told = { removed: "del", added: "ins" };
  const { parts } = difference(inputs.source_prompt, inputs.target_prompt);
  return h(
    "p",
    { class: "sentence" },
    parts.flatMap(({ word, change }) => [change ? h(told[change], {}, word) : word, " "]),
  );
}

/** Before and after of the best result; of several, each at a press; nothing where nothing came of it. */
export function picturesOf({ api, signal }, job) {
  if (job.state !== "succeeded") return h("p", { class: "empty" }, "No picture");
  const names = imagesOf(job);
  const place = h("div");
  const show = (name) =>
    fill(
      place,
      compare({
        before: picture(api, beforePath(job), { alt: `Before: ${job.inputs.source_prompt}`, signal }),
        after: picture(api, `${job.links.self}/artifacts/${name}`, {
          alt: `After: ${job.inputs.target_prompt}`,
          signal,
        }),
      }),
    );
  show(names[0]);
  return [place, names.length > 1 ? choice(api, job, { names, show, signal }) : null];
}

function choice(api, job, { names, show, signal }) {
  const press = (pressed) => {
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(names[at] === pressed)));
    show(pressed);
  };
  const buttons = names.map((name, at) =>
    h(
      "button",
      {
        type: "button",
        class: "thumb",
        "aria-label": `Result ${at + 1}`,
        "aria-pressed": String(at === 0),
        onclick: () => press(name),
      },
      picture(api, `${job.links.self}/artifacts/${name}`, { alt: "", signal }),
    ),
  );
  return h("div", { class: "row thumbs", role: "group", "aria-label": "Results, the best first" }, buttons);
}

function imagesOf(job) {
  const kept = (job.result.candidates ?? []).map(({ image }) => image).filter(Boolean);
  return kept.length ? kept : ["image"];
}

/** What the result is laid over: the caller's picture, or the model's square of it. */
function beforePath({ inputs, parameters }) {
  if (parameters.content_image_id) return `/images/${parameters.content_image_id}/content`;
  return inputs.output === "model"
    ? `/inversions/${inputs.inversion_id}/artifacts/reconstruction`
    : `/images/${inputs.image_id}/content`;
}

function saveButton(api, job, signal) {
  const save = async () => {
    const href = await pictureUrl(api, `${job.links.self}/artifacts/image`, signal);
    h("a", { href, download: `${job.id}.png` }).click();
  };
  return h("button", { type: "button", class: "small", onclick: save }, "Save picture");
}
