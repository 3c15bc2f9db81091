/** One job of any kind, with all that is known of it. */

import { fill, h } from "../dom.js";
import { bytes, count, duration, took, when } from "../format.js";
import { picturesOf } from "../parts/edit_card.js";
import { jobButtons } from "../parts/job_buttons.js";
import { badge, loading, progressPart, qualityPart, rawPart, troubles, whenChanged } from "../parts/job_parts.js";
import { picture } from "../pictures.js";
import { watchJob } from "../watching.js";

export function jobView(context, id) {
  const element = h("div", {}, loading("Job"));
  open(context, id, element).catch((error) => {
    if (error.name !== "AbortError") fill(element, h("p", { class: "problem", role: "alert" }, error.message));
  });
  return { title: "Job", element };
}

async function open(context, id, element) {
  const { api, signal } = context;
  const first = await api.get(`/jobs/${id}`, signal);
  const picture = first.kind === "edit" ? first.inputs.inversion_id : first.id;
  const head = h("div", { class: "row" });
  const progress = progressPart();
  const [result, facts, buttons] = [
    h("div", { class: "stack" }),
    h("div", { class: "stack" }),
    h("div", { class: "row" }),
  ];
  fill(
    element,
    h(
      "div",
      { class: "view-head" },
      h(
        "div",
        { class: "stack close" },
        head,
        h("h1", {}, first.inputs.target_prompt ?? first.inputs.source_prompt),
        h("code", { class: "soft" }, first.id),
      ),
      h(
        "div",
        { class: "row actions" },
        buttons,
        picture ? h("a", { class: "button small", href: `#/pictures/${picture}` }, "Open in the editor") : null,
      ),
    ),
    h(
      "div",
      { class: "two" },
      h("div", { class: "card stack" }, progress.element, result),
      h("div", { class: "card stack" }, facts),
    ),
  );

  const showHead = whenChanged(head, (state) => [
    badge(state),
    h("span", { class: "soft" }, first.kind === "edit" ? "Edit" : "Picture learned"),
  ]);
  const showButtons = whenChanged(buttons, (job) =>
    jobButtons(api, job, {
      changed: show,
      retried: (again) => {
        location.hash = `#/jobs/${again.id}`;
      },
      deleted: () => {
        location.hash = "#/jobs";
      },
    }),
  );
  const showResult = whenChanged(result, (job) =>
    job.done ? shownResult(context, job) : h("p", { class: "hint" }, "The result appears here."),
  );
  const showFacts = whenChanged(facts, factsOf);
  function show(job) {
    showHead(job.state);
    progress.show(job);
    showButtons({ ...job, progress: null, queue: null, metrics: null });
    showResult({ ...job, progress: null, queue: null });
    showFacts({ ...job, progress: null, queue: null });
  }
  watchJob(api, first, { signal, listener: { show } });
}

function shownResult(context, job) {
  if (job.state !== "succeeded") return [troubles(job)];
  if (job.kind === "edit") return [picturesOf(context, job), qualityPart(job.result.quality), troubles(job)];
  const path = `${job.links.self}/artifacts/reconstruction`;
  return [
    h(
      "div",
      { class: "stage" },
      picture(context.api, path, { alt: `Given back: ${job.inputs.source_prompt}`, signal: context.signal }),
    ),
    qualityPart(job.result.quality),
    troubles(job),
  ];
}

function factsOf(job) {
  const { unet_forwards: forwards, unet_backwards: backwards, peak_memory_bytes: memory } = job.metrics;
  const facts = {
    Method: job.method,
    Model: `${job.model.name} (${job.model.revision})`,
    Seed: job.seed,
    Attempt: `${job.attempt} of ${job.max_attempts}`,
    Made: when(job.created_at),
    Started: when(job.started_at),
    Finished: when(job.finished_at),
    Waited: duration(job.metrics.queue_seconds),
    Took: took(job),
    Computed: duration(job.metrics.compute_seconds),
    "UNet passes": forwards === undefined ? "–" : `${count(forwards)} forward, ${count(backwards)} back`,
    "Most memory": memory === undefined ? "–" : bytes(memory),
    "Kept until": when(job.expires_at),
  };
  if (job.deadline_at !== null) facts.Deadline = when(job.deadline_at);
  if (job.batch_id !== null) facts.Batch = h("a", { href: `#/batches/${job.batch_id}` }, job.batch_id);
  if (job.retry_of !== null) facts["Again for"] = h("a", { href: `#/jobs/${job.retry_of}` }, job.retry_of);
  if (job.duplicate_of !== null) facts["Equal to"] = h("a", { href: `#/jobs/${job.duplicate_of}` }, job.duplicate_of);
  for (const [key, value] of Object.entries(job.metadata)) facts[key] = value;
  return [
    h(
      "dl",
      { class: "facts wide" },
      Object.entries(facts).map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))),
    ),
    h("details", {}, h("summary", {}, "Parameters"), h("pre", {}, JSON.stringify(job.parameters, null, 2))),
    job.done ? rawPart(job) : null,
  ];
}
