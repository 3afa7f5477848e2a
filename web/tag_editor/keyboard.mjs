/** Keys of the whole editor, and the sheet that explains them. */

import { make } from "../parts/element.mjs";
import { showSheet } from "../parts/sheet.mjs";
import { say } from "../words.mjs";

/** @typedef {import("./header.mjs").Actions & {search: () => void, add: () => void}} KeyActions */

/** @param {KeyboardEvent} event @param {KeyActions} actions */
export function actOnKey(event, actions) {
  const act = actionOf(event);
  if (act === null) return;
  event.preventDefault();
  actions[act]();
}

/** @returns {keyof KeyActions | null} */
function actionOf(event) {
  const key = event.key.toLowerCase();
  const isCommand = event.ctrlKey || event.metaKey;
  const isTyping = /^(INPUT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "range";
  if (key === "escape") return "close";
  if (isCommand && key === "s") return "save";
  if (isCommand && key === "f") return "search";
  // A text field undoes its own typing first.
  if (isCommand && !(isTyping && event.target.value !== "")) {
    if (key === "z") return event.shiftKey ? "redo" : "undo";
    if (key === "y") return "redo";
  }
  if (isTyping || isCommand || event.altKey) return null;
  return { "?": "help", "/": "search", t: "add" }[key] ?? null;
}

/** @param {HTMLElement} host the editor's dialog */
export function showKeyboardHelp(host) {
  const rows = [
    ["← → ↑ ↓", "keys.move"],
    ["Home / End", "keys.ends"],
    ["Shift", "keys.range"],
    ["Space", "keys.toggle"],
    ["Ctrl + A", "keys.all"],
    ["/", "keys.search"],
    ["T", "keys.add"],
    [say("keys.altClick"), "keys.exclude"],
    ["Ctrl + Z", "keys.undo"],
    ["Ctrl + Shift + Z, Ctrl + Y", "keys.redo"],
    ["Ctrl + S", "keys.save"],
    ["Esc", "keys.close"],
  ].flatMap(([keys, meaning]) => [make("dt", { text: keys }), make("dd", { text: say(meaning) })]);
  const body = [make("dl.la-keys", {}, ...rows), make("p", { text: say("keys.query") })];
  return showSheet(host, say("keys.title"), body, [say("close")]);
}
