/** Keys of the whole crop editor, and the sheet that explains them and those of its grid. */

import { make } from "../parts/element.mjs";
import { showSheet } from "../parts/sheet.mjs";
import { say } from "../words.mjs";

/** @typedef {{undo: () => void, redo: () => void, save: () => void, help: () => void, close: () => void}} Actions */

/** @param {KeyboardEvent} event @param {Actions} actions */
export function actOnKey(event, actions) {
  const act = actionOf(event);
  if (act === null) return;
  event.preventDefault();
  actions[act]();
}

/** @returns {keyof Actions | null} */
function actionOf(event) {
  const key = event.key.toLowerCase();
  if (key === "escape") return "close";
  if (key === "?") return "help";
  if (!event.ctrlKey && !event.metaKey) return null;
  if (key === "z") return event.shiftKey ? "redo" : "undo";
  return { y: "redo", s: "save" }[key] ?? null;
}

/** @param {HTMLElement} host the editor's dialog */
export function showKeyboardHelp(host) {
  const rows = [
    ["← → ↑ ↓", "cropKeys.nudge"],
    ["Shift", "cropKeys.far"],
    ["+ / −", "cropKeys.scale"],
    ["Ctrl + ← → ↑ ↓", "cropKeys.move"],
    ["Del", "cropKeys.reset"],
    ["Ctrl + Z", "keys.undo"],
    ["Ctrl + Shift + Z, Ctrl + Y", "keys.redo"],
    ["Ctrl + S", "keys.save"],
    ["Esc", "cropKeys.close"],
  ].flatMap(([keys, meaning]) => [make("dt", { text: keys }), make("dd", { text: say(meaning) })]);
  return showSheet(host, say("keys.title"), [make("dl.la-keys", {}, ...rows)], [say("close")]);
}
