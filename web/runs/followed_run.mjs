/** One run by its name: what its folder tells, and what is heard of it while it is trained. */

import { onReconnected, onServerEvent } from "../host/server.mjs";
import { Reading } from "./reading.mjs";
import { RunRecord } from "./record.mjs";
import { readHistory } from "./requests.mjs";

/** @typedef {import("./record.mjs").RunEvent} RunEvent */

/** @type {Set<FollowedRun>} */
const followed = new Set();

onServerEvent("lora_atelier.run", (/** @type {RunEvent} */ event) => {
  for (const run of followed) if (run.record.run === event.run) run.hear(event);
});
onReconnected(() => followed.forEach((run) => run.read()));

export class FollowedRun {
  #reading = new Reading(() => this.#read());

  /** @param {string} run @param {() => void} onChange @param {(problem: Error) => void} onMissing */
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
    if (this.record.take(event)) this.read();
    if (this.history) this.onChange();
  }

  read() {
    this.#reading.again();
  }

  async #read() {
    try {
      const history = await readHistory(this.record.run);
      if (!followed.has(this)) return;
      this.history = history;
      this.record.read(history);
      this.onChange();
    } catch (problem) {
      if (!this.history && followed.has(this)) this.onMissing(problem);
    }
  }
}
