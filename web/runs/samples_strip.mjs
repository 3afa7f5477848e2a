/** The samples of a run: a row for each prompt, the newest at the right end. */

import { addressOf } from "../host.mjs";
import { make } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { samplesByPrompt } from "./record.mjs";

/** @typedef {import("./record.mjs").Sample} Sample */

const MOST_ROWS = 3;
/** Of a row, the newest; the large view has them all. */
const MOST_PICTURES = 24;
/** Pixels. */
const SIDE = 192;

export class SamplesStrip {
  #shown = "";

  constructor() {
    this.element = make("div.la-strip");
  }

  /** @param {string} run @param {Sample[]} samples */
  show(run, samples) {
    const names = samples.map(({ number, step }) => `${number}@${step}`).join();
    if (this.#shown === `${run}:${names}`) return;
    this.#shown = `${run}:${names}`;
    this.element.hidden = samples.length === 0;
    const rows = samplesByPrompt(samples).slice(0, MOST_ROWS).map((row) => this.#row(run, row));
    this.element.replaceChildren(...rows);
    for (const row of rows) row.scrollLeft = row.scrollWidth;
  }

  #row(run, samples) {
    const pictures = samples.slice(-MOST_PICTURES).map((sample) => picture(run, sample));
    return make("div.la-strip-row", { role: "list", "aria-label": samples[0].prompt }, ...pictures);
  }
}

function picture(run, { epoch, step, number, prompt }) {
  const query = `run=${encodeURIComponent(run)}&epoch=${epoch}&number=${number}&side=${SIDE}&step=${step}`;
  const name = epoch === 0 ? say("live.before") : say("live.epochShort", { epoch });
  const image = make("img", { src: addressOf(`/lora_atelier/runs/sample?${query}`), alt: prompt, loading: "lazy" });
  const title = `${name} · ${prompt}`;
  return make("figure.la-sample", { role: "listitem", title }, image, make("figcaption", { text: name }));
}
