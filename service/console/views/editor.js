/** One picture: how well it was learned, where its words act, and its edits. */

import { fill, h } from "../dom.js";
import { took } from "../format.js";
import { editForm } from "../parts/edit_form.js";
import { editCard } from "../parts/edit_card.js";
import { jobButtons } from "../parts/job_buttons.js";
import { badge, loading, progressPart, qualityPart, rawPart, troubles, whenChanged } from "../parts/job_parts.js";
import { litWords } from "../parts/words.js";
import { picture, pictureUrl } from "../pictures.js";
import { watchJob } from "../watching.js";

const SHOWN = 50;

export function editorView(context, id) {
  const element = h("div", { class: "editor" }, loading("Picture"));
  open(context, id, element).catch((error) => {
    if (error.name !== "AbortError") fill(element, h("p", { class: "problem", role: "alert" }, error.message));
  });
  return { title: "Picture", element };
}

async function open(context, id, element) {
  const { api, signal } = context;
  const [inversion, { items }] = await Promise.all([
    api.get(`/inversions/${id}`, signal),
    api.get(`/edits?inversion_id=${id}&page_size=${SHOWN}`, signal),
  ]);
  const edits = h("ul", { class: "edits", "aria-label": "Edits" });
  const add = (job) => edits.prepend(editCard(context, job, { again: add }));
  items.reverse().forEach(add);
  const none = h("p", { class: "empty edits-none" }, "Your edits appear here, the newest first.");
  const form = editForm(context, inversion, { made: add });
  fill(element, sourceCard(context, inversion), h("div", { class: "stack wide" }, form, edits, none));
}

function sourceCard(context, inversion) {
  const { api, signal } = context;
  const sentence = h("p", { class: "sentence" }, inversion.inputs.source_prompt);
  const stage = h(
    "div",
    { class: "stage" },
    picture(api, `/images/${inversion.inputs.image_id}/content`, {
      alt: `The picture: ${inversion.inputs.source_prompt}`,
      signal,
    }),
  );
  const head = h("div", { class: "row" });
  const progress = progressPart();
  const result = h("div", { class: "stack" });
  const buttons = h("div", { class: "row" });
  const preview = h("img", { class: "preview", alt: "What the service can give back so far", hidden: true });
  stage.append(preview);

  const showHead = whenChanged(head, (state) => [h("h1", { class: "modest" }, "Picture"), badge(state)]);
  const showResult = whenChanged(result, (job) => resultOf(context, job, stage));
  const showButtons = whenChanged(buttons, (job) =>
    jobButtons(api, job, {
      changed: show,
      retried: (again) => {
        location.hash = `#/pictures/${again.id}`;
      },
      deleted: () => {
        location.hash = "#/";
      },
    }),
  );
  function show(job) {
    showHead(job.state);
    progress.show(job);
    showButtons({ ...job, progress: null, queue: null, metrics: null });
    if (!job.done) return;
    preview.hidden = true;
    sentence.hidden = job.state === "succeeded"; // its words are shown one by one then
    showResult(job);
  }
  const listener = { show, preview: (path) => showPreview(api, path, { preview, signal }) };
  watchJob(api, inversion, { signal, listener });
  return h(
    "section",
    { class: "card stack source", "aria-label": "The picture" },
    head,
    stage,
    sentence,
    progress.element,
    result,
    buttons,
  );
}

function resultOf({ api, signal }, job, stage) {
  if (job.state !== "succeeded") return [troubles(job), rawPart(job)];
  const time = h(
    "p",
    { class: "hint" },
    job.duplicate_of ? `${job.method}, shared with an equal job` : `${job.method}, ${took(job)}`,
  );
  return [
    litWords(api, job, { over: stage, signal }),
    qualityPart(job.result.quality),
    troubles(job),
    time,
    rawPart(job),
  ];
}

/** Previews vanish with their attempt: one that cannot be had is left out. */
export async function showPreview(api, path, { preview, signal }) {
  const url = await pictureUrl(api, path, signal).catch(() => null);
  if (url === null) return;
  preview.src = url;
  preview.hidden = false;
}
