/** All samples of a run: a row for each prompt, epochs from left to right. */

import { make } from "../parts/element.mjs";
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
    this.element.replaceChildren(...(rows.length > 0 ? rows : [make("p.la-none", { text: say("view.noSamples") })]));
    for (const strip of this.element.querySelectorAll(".la-timeline-row")) strip.scrollLeft = strip.scrollWidth;
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
      { title: say("view.compareHint"), "aria-label": `${name} · ${sample.prompt}`, on: { click: open } },
      make("img", { src: sampleAddress(run, sample, SIDE), alt: "", loading: "lazy", draggable: "false" }),
      make("span", { text: name }),
    );
  }
}
