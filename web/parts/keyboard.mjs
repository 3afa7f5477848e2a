/** The keys of an editor, and the sheet that explains them. */

import { say } from "../words.mjs";
import { make } from "./element.mjs";
import { showSheet } from "./sheet.mjs";

/**
 * @typedef {object} Actions What keys do; an editor without a search or a field for tags has no such keys.
 * @property {() => void} undo
 * @property {() => void} redo
 * @property {() => void} save
 * @property {() => void} help
 * @property {() => void} close
 * @property {() => void} [search]
 * @property {() => void} [add]
 */

/** @param {KeyboardEvent} event that nothing inside the editor has taken @param {Actions} actions */
export function actOnKey(event, actions) {
  const act = actions[actionOf(event)];
  if (!act) return;
  event.preventDefault();
  act();
}

/** @returns {keyof Actions | undefined} */
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
  if (isTyping || isCommand || event.altKey) return undefined;
  return { "?": "help", "/": "search", t: "add" }[key];
}

/** @param {HTMLElement} host the editor's dialog @param {string[][]} own keys of this editor and what they do
 * @param {string} close what Escape does @param {...string} more sentences below the keys */
export function showKeyboardHelp(host, own, close, ...more) {
  const rows = [
    ...own,
    ["Ctrl + Z", say("keys.undo")],
    ["Ctrl + Shift + Z, Ctrl + Y", say("keys.redo")],
    ["Ctrl + S", say("keys.save")],
    ["Esc", close],
  ].flatMap(([keys, meaning]) => [make("dt", { text: keys }), make("dd", { text: meaning })]);
  const notes = more.map((text) => make("p", { text }));
  return showSheet(host, say("keys.title"), [make("dl.la-keys", {}, ...rows), ...notes], [say("close")]);
}
