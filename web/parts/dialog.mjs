/**
 * A window over all of ComfyUI. It is no <dialog>, which would cover ComfyUI's own messages and be closed by it on
 * Escape. ComfyUI leaves its key bindings alone while role="dialog" with aria-modal is in the page.
 */

import { make } from "./element.mjs";

const OWN_EVENTS = ["keydown", "keyup", "keypress", "copy", "cut", "paste", "wheel", "contextmenu"];
const FOCUSABLE = "button, input, textarea, [tabindex='0']";

export class Dialog {
  #returnFocus = /** @type {HTMLElement | null} */ (document.activeElement);

  /** @param {string} label @param {() => void} onClose */
  constructor(label, onClose) {
    this.onClose = onClose;
    /** Keys that nothing inside has taken. */
    this.onKey = (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") this.close();
    };
    this.panel = make("div.la-panel");
    this.element = make(
      "div.la-editor",
      { role: "dialog", "aria-modal": "true", "aria-label": label, tabindex: "-1" },
      this.panel,
    );
    for (const name of OWN_EVENTS) this.element.addEventListener(name, (event) => event.stopPropagation());
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Tab") this.#keepInside(event);
      else if (!event.defaultPrevented && !event.isComposing) this.onKey(event);
    });
  }

  get isOpen() {
    return this.element.isConnected;
  }

  open() {
    document.body.append(this.element);
    this.element.focus();
  }

  close() {
    this.element.remove();
    this.#returnFocus?.focus();
    this.onClose();
  }

  #keepInside(event) {
    const scope = this.element.querySelector(".la-sheet") ?? this.element;
    const stops = [...scope.querySelectorAll(FOCUSABLE)].filter((stop) => !stop.disabled && stop.offsetParent !== null);
    const end = event.shiftKey ? stops[0] : stops[stops.length - 1];
    const isOutside = !stops.includes(document.activeElement) && !scope.contains(document.activeElement);
    if (document.activeElement !== end && !isOutside) return;
    event.preventDefault();
    (event.shiftKey ? stops[stops.length - 1] : stops[0])?.focus();
  }
}
