/** Whose is what a run leaves: ComfyUI gives it to the node of that number in whatever workflow is in view. */

import { api } from "../../../scripts/api.js";
import { nodeOf, workflowId } from "./graph.mjs";
import { giveOutput } from "./node.mjs";

const ENDS = /** @type {const} */ (["execution_success", "execution_error", "execution_interrupted"]);

/** @type {Map<string, string>} the workflow of each prompt that this page has queued and that has not ended */
const workflows = new Map();
/** @type {Map<string, Map<string, Record<string, any>>>} by workflow and node, what came while another one was in view */
const kept = new Map();

/** Keep what nodes leave for the page from nodes of other workflows. To be called before ComfyUI itself listens, as
 * listeners are called in their order.
 * @param {string} prefix of the names of what ours leave */
export function sortOutputs(prefix) {
  const { queuePrompt } = api;
  api.queuePrompt = async function (number, data, ...more) {
    const answer = await queuePrompt.call(this, number, data, ...more);
    workflows.set(answer.prompt_id, data.workflow?.id);
    return answer;
  };
  const sort = (/** @type {CustomEvent} */ { detail }) => {
    const workflow = workflows.get(detail.prompt_id);
    if (workflow === undefined || workflow === workflowId()) return;
    const [ours, others] = parted(detail.output ?? {}, (name) => name.startsWith(prefix));
    detail.output = others;
    if (!kept.has(workflow)) kept.set(workflow, new Map());
    kept.get(workflow).set(detail.display_node || detail.node, ours);
  };
  api.addEventListener("executed", sort);
  const forget = (/** @type {CustomEvent} */ { detail }) => workflows.delete(detail.prompt_id);
  for (const end of ENDS) api.addEventListener(end, forget);
  recallQueued();
}

/** What this page had queued before it was loaded anew: the server knows of which workflow it is. */
async function recallQueued() {
  try {
    const answer = await api.fetchApi("/queue");
    const { queue_running: running, queue_pending: pending } = await answer.json();
    for (const [, prompt, , extra] of [...running, ...pending]) {
      const workflow = extra?.extra_pnginfo?.workflow?.id;
      if (workflow && !workflows.has(prompt)) workflows.set(prompt, workflow);
    }
  } catch {
    // as if nothing had been queued
  }
}

/** Give the nodes of the workflow that has come into view what was left for them meanwhile. */
export function giveKeptOutputs() {
  const here = kept.get(workflowId()) ?? new Map();
  kept.delete(workflowId());
  for (const [id, output] of here) giveOutput(nodeOf(id), output);
}

/** @param {Record<string, any>} values @param {(name: string) => boolean} isFirst
 * @returns {[Record<string, any>, Record<string, any>]} those that are, and the others */
function parted(values, isFirst) {
  const entries = Object.entries(values);
  const [first, others] = [true, false].map((wanted) => entries.filter(([name]) => isFirst(name) === wanted));
  return [Object.fromEntries(first), Object.fromEntries(others)];
}
