/** One run by its name: what its folder tells, and what is heard of it while it is trained. */

import { onReconnected, onServerEvent } from "../host/server.mjs";
import { Reading } from "../parts/reading.mjs";
import { RunRecord } from "./record.mjs";
import { readHistory } from "./requests.mjs";

/** @typedef {import("./record.mjs").RunEvent} RunEvent */

/** Milliseconds without a word, after which a run that is being trained is asked for: under --multi-user the server
 * tells only the page that queued it. */
const SILENCE = 10_000;

/** @type {Set<FollowedRun>} */
const followed = new Set();

onServerEvent("lora_atelier.run", (/** @type {RunEvent} */ event) => {
  for (const run of followed) if (run.record.run === event.run) run.hear(event);
});
onReconnected(() => followed.forEach((run) => run.read()));
setInterval(() => followed.forEach((run) => run.wake()), SILENCE / 2);

export class FollowedRun {
  #reading = new Reading(() => this.#read());
  #heardAt = 0;

  /** @param {string} run @param {() => void} onChange @param {(problem: Error) => void} onMissing its folder is not
   * there, or not yet */
  constructor(run, onChange, onMissing) {
    this.record = new RunRecord(run);
    /** @type {any} as /runs/history answered last; null before */
    this.history = null;
    this.onChange = onChange;
    this.onMissing = onMissing;
    followed.add(this);
    this.read();
  }

  leave() {
    followed.delete(this);
    this.#reading.stop();
  }

  /** @param {RunEvent} event of this run */
  hear(event) {
    this.#heardAt = Date.now();
    if (this.record.take(event)) this.read();
    this.onChange();
  }

  read() {
    this.#reading.again();
  }

  wake() {
    if (!document.hidden && this.record.isTraining && Date.now() - this.#heardAt > SILENCE) this.read();
  }

  async #read() {
    const history = await readHistory(this.record.run).catch((problem) => this.#miss(problem));
    if (!history || !followed.has(this)) return;
    this.history = history;
    this.record.read(history);
    this.onChange();
  }

  #miss(problem) {
    if (!this.history && followed.has(this)) this.onMissing(problem);
  }
}
