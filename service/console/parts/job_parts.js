/** What is shown of any job: its state, how far it is, what it warns of, why it failed, what was measured. */

import { fill, h } from "../dom.js";
import { standing, stateName } from "../format.js";

export function badge(state) {
  return h("span", { class: `badge ${state}` }, stateName(state));
}

/** A bar with a sentence; empty once the job is done. Call `show` with the job as it stands. */
export function progressPart() {
  const bar = h("progress", { max: "1", "aria-label": "Progress" });
  const text = h("p", { class: "soft tiny number" });
  const element = h("div", { class: "stack close" }, bar, text);
  const show = (job) => {
    element.hidden = job.done;
    if (job.state === "running" && job.progress.timesteps) bar.value = job.progress.fraction;
    else bar.value = 0;
    text.textContent = standing(job);
  };
  return { element, show };
}

/** Why a job has no result, and its warnings. */
export function troubles(job) {
  const failed =
    job.error === null
      ? null
      : h(
          "p",
          { class: job.state === "canceled" ? "warning" : "problem" },
          h("strong", {}, job.error.title),
          ". ",
          job.error.detail,
          " ",
          h("code", {}, job.error.code),
        );
  return [failed, ...job.warnings.map((warning) => h("p", { class: "warning" }, warning))];
}

const FIGURES = {
  psnr: ["Likeness", "dB, of the reconstruction to the picture; higher is better", 1],
  ssim: ["Structure", "SSIM of the reconstruction; 1 is the same", 3],
  clip_score: ["Says the words", "CLIP score of the result and its sentence; higher is better", 1],
  background_psnr: ["Background kept", "dB outside the changed region; higher is better", 1],
  ns_lpips: ["Background drift", "LPIPS outside the changed region; lower is better", 3],
  structure_distance: ["Layout drift", "structure distance to the source; lower is better", 4],
};

/** What stands in a view's place until its job has come. */
export function loading(title) {
  return h("div", { class: "empty" }, h("h1", {}, title), h("p", {}, "Loading…"));
}

/** The figures that a person can use, each with what it means. */
export function qualityPart(quality) {
  const known = Object.entries(FIGURES).filter(([name]) => typeof quality?.[name] === "number");
  if (!known.length) return null;
  return h(
    "dl",
    { class: "facts" },
    known.map(([name, [title, meaning, digits]]) =>
      h("div", { title: meaning }, h("dt", {}, title), h("dd", {}, quality[name].toFixed(digits))),
    ),
  );
}

/** The whole document, for those who want it. */
export function rawPart(job) {
  return h("details", {}, h("summary", {}, "As the API tells it"), h("pre", {}, JSON.stringify(job, null, 2)));
}

/** Puts the children anew only when what they show has changed, so that nothing loses its focus. */
export function whenChanged(element, make) {
  let shown = null;
  return (...values) => {
    const key = JSON.stringify(values);
    if (key !== shown) fill(element, make(...values));
    shown = key;
  };
}
