/** All samples of a run: a row for each prompt, epochs from left to right. */

import { make } from "../parts/element.mjs";
import { keepFocus } from "../parts/keep_focus.mjs";
import { say } from "../words.mjs";
import { openBeforeAfter } from "./before_after.mjs";
import { samplesByPrompt } from "./record.mjs";
import { Seen } from "./seen.mjs";
import { epochName, sampleAddress } from "./shown_sample.mjs";

/** @typedef {import("./record.mjs").Sample} Sample */

/** Pixels. */
const SIDE = 288;

export class SampleTimeline {
  #seen = new Seen();

  /** @param {HTMLElement} host the dialog */
  constructor(host) {
    this.host = host;
    this.element = make("div.la-timeline");
  }

  /** @param {string} run @param {Sample[]} samples */
  show(run, samples) {
    if (!this.#seen.isNews([run, samples])) return;
    const rows = samplesByPrompt(samples).map((row) => this.#row(run, row));
    const before = this.#strips.map(placeOf);
    const shown = rows.length > 0 ? rows : [make("p.la-none", { text: say("view.noSamples") })];
    keepFocus(this.element, () => this.element.replaceChildren(...shown));
    this.#strips.forEach((strip, at) => (strip.scrollLeft = before[at] ?? strip.scrollWidth));
  }

  get #strips() {
    return [...this.element.querySelectorAll(".la-timeline-row")];
  }

  #row(run, row) {
    const [{ prompt, seed, width, height }] = row;
    const facts = say("view.sampleFacts", { seed: String(seed), width: String(width), height: String(height) });
    return make(
      "section",
      {},
      make("p.la-prompt", {}, make("span", { text: prompt, title: prompt }), make("span.la-count", { text: facts })),
      make("div.la-timeline-row", {}, ...row.map((sample) => this.#cell(run, row, sample))),
    );
  }

  #cell(run, row, sample) {
    const open = () => openBeforeAfter(this.host, run, row, sample);
    const name = epochName(sample.epoch);
    return make(
      "button.la-timeline-cell",
      {
        title: say("view.compareHint"), "aria-label": `${name} · ${sample.prompt}`, on: { click: open },
        "data-focus": `${sample.number} ${sample.step}`,
      },
      make("img", { src: sampleAddress(run, sample, SIDE), alt: "", loading: "lazy", draggable: "false" }),
      make("span", { text: name }),
    );
  }
}

/** How far a row was scrolled; null at its end, where it stays as samples are added.
 * @param {Element} strip */
function placeOf({ scrollLeft, scrollWidth, clientWidth }) {
  return scrollLeft + clientWidth < scrollWidth - 1 ? scrollLeft : null;
}
