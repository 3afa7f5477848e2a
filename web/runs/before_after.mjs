/** Two epochs of one prompt over each other: what lies left of a line that is dragged is the earlier one. */

import { iconButton, make } from "../parts/element.mjs";
import { cover } from "../parts/sheet.mjs";
import { say } from "../words.mjs";
import { pairOf } from "./sample_pair.mjs";
import { epochName, sampleAddress } from "./shown_sample.mjs";

/** @typedef {import("./record.mjs").Sample} Sample */

const MIDDLE = 50;

/** @param {HTMLElement} host the dialog @param {string} run @param {Sample[]} row of one prompt, by epoch
 * @param {Sample} chosen */
export function openBeforeAfter(host, run, row, chosen) {
  const close = () => uncover();
  const view = new BeforeAfter(run, row, chosen, close);
  const uncover = cover(host, view.element, { onEscape: close, onOutside: close });
  view.line.focus();
}

class BeforeAfter {
  constructor(run, row, chosen, close) {
    this.run = run;
    this.row = row;
    this.before = make("img.la-wipe-before", { alt: "", draggable: "false" });
    this.after = make("img", { alt: "", draggable: "false" });
    this.line = make("input.la-wipe-line", {
      type: "range", min: 0, max: 100, step: 0.5, value: MIDDLE, "aria-label": say("view.wipe"),
    });
    this.line.addEventListener("input", () => this.#wipe());
    this.line.addEventListener("keydown", (event) => this.#press(event));
    this.choices = [say("view.beforeSide"), say("view.afterSide")].map((label) => this.#choice(label));
    this.stage = make("div.la-wipe", {}, this.after, this.before, make("div.la-wipe-edge"), this.line);
    const choices = this.choices.map(({ element }) => element);
    const { width, height, prompt } = chosen;
    this.stage.style.setProperty("--la-shape", String(width / height));
    this.element = make(
      "div.la-sheet.la-wipe-sheet",
      { role: "dialog", "aria-modal": "true", "aria-label": say("view.compareHint") },
      make("div.la-wipe-head", {}, ...choices, iconButton("close", say("view.close"), close)),
      this.stage,
      make("p.la-wipe-prompt", { text: prompt, title: prompt }),
      make("p.la-count", { text: say("view.wipeHint") }),
    );
    this.#choose(pairOf(row, chosen));
    this.#wipe();
  }

  #choice(label) {
    const options = this.row.map(({ epoch }, at) => make("option", { value: at, text: epochName(epoch) }));
    const select = make("select.la-input", { "aria-label": label, on: { change: () => this.#show() } }, ...options);
    return { element: make("label.la-field", {}, make("span", { text: label }), select), select };
  }

  /** @param {[number, number]} places of the two in the row */
  #choose(places) {
    places.forEach((place, side) => (this.choices[side].select.value = String(place)));
    this.#show();
  }

  #show() {
    const [before, after] = this.choices.map(({ select }) => this.row[Number(select.value)]);
    this.before.src = sampleAddress(this.run, before);
    this.after.src = sampleAddress(this.run, after);
  }

  #wipe() {
    this.stage.style.setProperty("--la-at", `${this.line.value}%`);
  }

  /** Up and down go through the epochs; left and right move the line, as the browser does it. */
  #press(event) {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const { select } = this.choices[1];
    select.value = String(Math.min(this.row.length - 1, Math.max(0, Number(select.value) + by)));
    this.#show();
  }
}
