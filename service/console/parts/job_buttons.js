/** What can be done with a job: stop it, try it again, delete it. */

import { h } from "../dom.js";
import { attempt, confirmed, notice } from "../notices.js";

const AGAIN = ["failed", "canceled", "expired"];

/**
 * The buttons that fit a job's state.
 *
 * @param {{changed: (job: Object) => void, retried: (job: Object) => void, deleted: () => void}} listener
 */
export function jobButtons(api, job, listener) {
  if (!job.done) return [cancelButton(api, job, listener)];
  return [AGAIN.includes(job.state) ? retryButton(api, job, listener) : null, deleteButton(api, job, listener)];
}

function cancelButton(api, job, { changed }) {
  const cancel = async () => changed(await api.post(job.links.cancel));
  return button("Cancel", { disabled: job.cancel_requested }, cancel);
}

function retryButton(api, job, { retried }) {
  return button("Try again", {}, async () => retried(await api.post(`${job.links.self}/retry`)));
}

function deleteButton(api, job, { deleted }) {
  return button("Delete", { class: "small quiet danger" }, async () => {
    if (!(await confirmed("Delete the job and its pictures? This cannot be undone.", { yes: "Delete" }))) return;
    await api.delete(job.links.self);
    notice("Deleted.");
    deleted();
  });
}

function button(text, attributes, action) {
  const element = h(
    "button",
    {
      type: "button",
      class: "small",
      ...attributes,
      onclick: async () => {
        element.disabled = true;
        await attempt(action);
        element.disabled = false;
      },
    },
    text,
  );
  return element;
}
