/** The samples of a run: a row for each prompt, the newest at the right end. */

import { make } from "../parts/element.mjs";
import { newestRows } from "./record.mjs";
import { Seen } from "./seen.mjs";
import { epochName, sampleAddress } from "./shown_sample.mjs";

/** @typedef {import("./record.mjs").Sample} Sample */

const MOST_ROWS = 3;
/** Of a row, the newest; the large view has them all. */
const MOST_PICTURES = 24;
/** Pixels. */
const SIDE = 192;

export class SamplesStrip {
  #seen = new Seen();

  constructor() {
    this.element = make("div.la-strip");
  }

  /** @param {string} run @param {Sample[]} samples */
  show(run, samples) {
    if (!this.#seen.isNews([run, samples])) return;
    this.element.hidden = samples.length === 0;
    const rows = newestRows(samples, MOST_ROWS).map((row) => this.#row(run, row));
    this.element.replaceChildren(...rows);
    for (const row of rows) row.scrollLeft = row.scrollWidth;
  }

  #row(run, samples) {
    const pictures = samples.slice(-MOST_PICTURES).map((sample) => picture(run, sample));
    return make("div.la-strip-row", { role: "list", "aria-label": samples[0].prompt }, ...pictures);
  }
}

function picture(run, sample) {
  const { epoch, prompt } = sample;
  const name = epochName(epoch);
  const image = make("img", { src: sampleAddress(run, sample, SIDE), alt: prompt, loading: "lazy" });
  const title = `${name} · ${prompt}`;
  return make("figure.la-sample", { role: "listitem", title }, image, make("figcaption", { text: name }));
}
