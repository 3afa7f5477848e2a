/** Writing the captions beside the pictures: asked first, told afterwards. */

import { make } from "../parts/element.mjs";
import { cover, showSheet } from "../parts/sheet.mjs";
import { say } from "../words.mjs";

/** @param {HTMLElement} host the editor's dialog @param {number} count of pictures
 * @param {() => Promise<import("./board.mjs").SaveReport>} write */
export async function offerCaptionFiles(host, count, write) {
  const question = [make("p", { text: say("files.text", { count }) })];
  const answer = await showSheet(host, say("files.title"), question, [say("files.cancel"), say("files.write")]);
  if (answer !== say("files.write")) return;
  const uncover = cover(host, make("p.la-sheet", { role: "status", text: say("files.writing") }));
  try {
    const report = await write().finally(uncover);
    await showSheet(host, say("files.done"), describe(report), [say("files.close")]);
  } catch (problem) {
    await showSheet(host, say("files.failed"), [make("p", { text: problem.message })], [say("files.close")]);
  }
}

function describe({ written, unchanged, refused }) {
  const lines = refused.map(({ name, reason }) => make("li", {}, make("b", { text: name }), `: ${reason}`));
  const list = [make("p", { text: say("files.refused") }), make("ul.la-refused", {}, ...lines)];
  return [make("p", { text: say("files.report", { written, unchanged }) }), ...(lines.length > 0 ? list : [])];
}
