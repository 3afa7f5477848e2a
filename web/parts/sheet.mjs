/** What stands in front of an editor: questions, answers, pictures. */

import { button, make } from "./element.mjs";

/** Cover an editor, which gets no key meanwhile.
 * @param {HTMLElement} host the editor's dialog @param {HTMLElement} content
 * @param {{onEscape?: () => void, onOutside?: () => void}} [acts] what Escape and a press beside the content do
 * @returns {() => void} that takes it away again */
export function cover(host, content, { onEscape = () => {}, onOutside = () => {} } = {}) {
  const returnFocus = /** @type {HTMLElement | null} */ (document.activeElement);
  const on = {
    click: (event) => event.target === shade && onOutside(),
    keydown: (event) => {
      if (event.key === "Tab") return;
      event.stopPropagation();
      if (event.key === "Escape") onEscape();
    },
  };
  const shade = make("div.la-shade", { tabindex: "-1", on }, content); // a press on its texts leaves the focus in it
  host.append(shade);
  shade.focus();
  return () => {
    shade.remove();
    (returnFocus?.isConnected ? returnFocus : host).focus();
  };
}

/** @param {HTMLElement} host the editor's dialog @param {string} title @param {Node[]} body
 * @param {string[]} actions labels of buttons, the last one is the main one
 * @returns {Promise<string | null>} the label that was chosen; null for Escape */
export function showSheet(host, title, body, actions) {
  return new Promise((resolve) => {
    const finish = (/** @type {string | null} */ answer) => {
      uncover();
      resolve(answer);
    };
    const buttons = actions.map((label, place) =>
      button(label, () => finish(label), place === actions.length - 1 ? ".la-primary" : ""),
    );
    const sheet = make(
      "div.la-sheet",
      { role: "alertdialog", "aria-modal": "true", "aria-label": title },
      make("h2", { text: title }),
      ...body,
      make("div.la-sheet-actions", {}, ...buttons),
    );
    const uncover = cover(host, sheet, { onEscape: () => finish(null) });
    buttons[buttons.length - 1].focus();
  });
}
