/** A question or an answer in front of the editor. */

import { button, make } from "./element.mjs";

/** @param {HTMLElement} host the editor's dialog @param {string} title @param {Node[]} body
 * @param {string[]} actions labels of buttons, the last one is the main one
 * @returns {Promise<string | null>} the label that was chosen; null for Escape */
export function showSheet(host, title, body, actions) {
  const returnFocus = /** @type {HTMLElement | null} */ (document.activeElement);
  return new Promise((resolve) => {
    const finish = (/** @type {string | null} */ answer) => {
      shade.remove();
      returnFocus?.focus();
      resolve(answer);
    };
    const buttons = actions.map((label, place) =>
      button(label, () => finish(label), place === actions.length - 1 ? ".la-primary" : ""),
    );
    const sheet = make(
      "div.la-sheet",
      { role: "alertdialog", "aria-label": title },
      make("h2", { text: title }),
      ...body,
      make("div.la-sheet-actions", {}, ...buttons),
    );
    const shade = make("div.la-shade", {}, sheet);
    shade.addEventListener("keydown", (event) => {
      if (event.key === "Tab") return;
      event.stopPropagation();
      if (event.key === "Escape") finish(null);
    });
    host.append(shade);
    buttons[buttons.length - 1].focus();
  });
}
