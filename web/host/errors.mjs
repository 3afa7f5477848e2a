/** Errors and other lines of nodes, which ComfyUI shows as they come. */

import { api } from "../../../scripts/api.js";
import { phrase } from "../words/phrases.mjs";
import { nodeOf, titleOf } from "./graph.mjs";
import { locale, notify } from "./page.mjs";

/** Tell errors of our nodes in the user's language, before a run or in it. ComfyUI takes them as they come into a log
 * that has to be opened, so they are changed on their way, before it is drawn, and shown.
 * @param {string} prefix of the types of our nodes */
export function tellErrors(prefix) {
  const isOurs = (/** @type {string} */ type) => type?.startsWith(prefix);
  const listener = (/** @type {CustomEvent} */ { detail }) => {
    if (!isOurs(detail.node_type)) return;
    detail.exception_message = phrase(detail.exception_message.trimEnd(), locale());
    const node = nodeOf(detail.node_id); // of another workflow, if that one is in view
    const title = node?.comfyClass === detail.node_type ? node.title : titleOf(detail.node_type);
    notify("error", title, detail.exception_message);
  };
  api.addEventListener("execution_error", listener, { capture: true });
  const tell = (/** @type {Record<string, any>} */ nodes) => {
    const found = Object.values(nodes ?? {}).filter((node) => isOurs(node.class_type));
    for (const error of found.flatMap((node) => node.errors)) error.details = detailsOf(error);
  };
  const { queuePrompt } = api;
  api.queuePrompt = async function (...values) {
    try {
      const answer = await queuePrompt.apply(this, values);
      tell(answer.node_errors); // of branches that are left out while the others run
      return answer;
    } catch (refused) {
      tell(refused.response?.node_errors);
      throw refused;
    }
  };
}

/** Show what stands below our nodes after a run in the user's language.
 * @param {string} prefix of the types of our nodes */
export function translateLines(prefix) {
  const listener = (/** @type {CustomEvent} */ { detail }) => {
    if (!nodeOf(detail.nodeId)?.comfyClass?.startsWith(prefix)) return;
    detail.text = detail.text.split("\n").map(translatedLine).join("\n");
  };
  api.addEventListener("progress_text", listener, { capture: true });
}

/** Where there are several lines, each has a mark. */
function translatedLine(/** @type {string} */ line) {
  const mark = line.startsWith("• ") ? "• " : "";
  return mark + phrase(line.slice(mark.length), locale());
}

/** ComfyUI writes the input's name before what a node says of it. */
function detailsOf({ details, extra_info: input }) {
  const name = `${input?.input_name} - `;
  return details?.startsWith(name) ? name + phrase(details.slice(name.length), locale()) : details;
}
