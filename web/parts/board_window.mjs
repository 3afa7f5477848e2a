/** The window of an editor. What a node left for it on the server is its board; without one the window says why. */

import { say } from "../words.mjs";
import { Dialog } from "./dialog.mjs";
import { button, make } from "./element.mjs";

/** @typedef {{title: string, loading: string, emptyTitle: string, emptyText: string, failed: string}} Sentences */

const NOT_FOUND = 404;

/** Open the window and read the board.
 * @template Content
 * @param {Sentences} sentences @param {{read: () => Promise<Content>} | null} board null before the first run
 * @param {() => void} onClose
 * @returns {Promise<{dialog: Dialog, content: Content} | null>} null where there is nothing to edit,
 * or no window any more */
export async function openBoard({ title, loading, emptyTitle, emptyText, failed }, board, onClose) {
  const dialog = new Dialog(title, onClose);
  dialog.panel.append(make("p.la-empty", { role: "status", text: loading }));
  dialog.open();
  if (board === null) return tell(dialog, emptyTitle, emptyText);
  try {
    const content = await board.read();
    return dialog.isOpen ? { dialog, content } : null;
  } catch (problem) {
    if (problem.status === NOT_FOUND) return tell(dialog, emptyTitle, emptyText);
    return tell(dialog, failed, problem.message);
  }
}

/** @returns {null} */
function tell(dialog, title, text) {
  const close = button(say("close"), () => dialog.close(), ".la-primary");
  dialog.panel.replaceChildren(make("div.la-empty", {}, make("h1", { text: title }), make("p", { text }), close));
  close.focus();
  return null;
}
