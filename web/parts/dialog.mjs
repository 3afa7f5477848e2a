/**
 * A window over all of ComfyUI. It is no <dialog>, which would cover ComfyUI's own messages and be closed by it on
 * Escape. ComfyUI leaves its key bindings alone while role="dialog" with aria-modal is in the page.
 */

import { holdUndo } from "../host/graph.mjs";
import { make } from "./element.mjs";

const OWN_EVENTS = ["keydown", "keyup", "keypress", "copy", "cut", "paste", "wheel", "contextmenu"];
/** Those that go to the page's body where what had the focus is gone, such as a button that took itself away. */
const LOST_EVENTS = ["keydown", "copy", "cut", "paste"];
const FOCUSABLE = "button, input, select, summary, textarea, [tabindex='0']";
const MODAL = "[role='dialog'][aria-modal='true']";

export class Dialog {
  #returnFocus = /** @type {HTMLElement | null} */ (document.activeElement);
  #letUndo = () => {};

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
    this.#letUndo = holdUndo(() => this.isOpen);
    document.body.append(this.element);
    this.element.focus();
    for (const name of LOST_EVENTS) document.addEventListener(name, this.#takeLost, { capture: true });
  }

  close() {
    for (const name of LOST_EVENTS) document.removeEventListener(name, this.#takeLost, { capture: true });
    this.element.remove();
    this.#letUndo();
    this.#returnFocus?.focus();
    this.onClose();
  }

  /** Take what would act on the graph behind this window, or on nothing; a dialog of ComfyUI's in front has its own. */
  #takeLost = (/** @type {Event} */ event) => {
    const isInFront = [...document.querySelectorAll(MODAL)].every((modal) => this.element.contains(modal));
    if (!this.isOpen || !isInFront || event.target !== document.body) return;
    event.stopPropagation();
    const front = /** @type {HTMLElement} */ (this.element.querySelector(".la-shade") ?? this.element);
    front.focus();
    const isKey = event instanceof KeyboardEvent;
    if (isKey && !front.dispatchEvent(new KeyboardEvent(event.type, event))) event.preventDefault();
  };

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
