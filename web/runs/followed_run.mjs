/** One run by its name: what its folder tells, and what is heard of it while it is trained. */

import { getJson, onReconnected, onServerEvent } from "../host.mjs";
import { RunRecord } from "./record.mjs";

/** @typedef {import("./record.mjs").RunEvent} RunEvent */

/** Milliseconds between two readings of the folder. */
const BETWEEN_READINGS = 1000;

/** @type {Set<FollowedRun>} */
const followed = new Set();

onServerEvent("lora_atelier.run", (/** @type {RunEvent} */ event) => {
  for (const run of followed) if (run.record.run === event.run) run.hear(event);
});
onReconnected(() => followed.forEach((run) => run.read()));

export class FollowedRun {
  #isReading = false;
  #isOutdated = false;

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
  }

  /** @param {RunEvent} event of this run */
  hear(event) {
    if (this.record.take(event)) this.read();
    if (this.history) this.onChange();
  }

  async read() {
    this.#isOutdated = true;
    if (this.#isReading) return;
    this.#isReading = true;
    while (this.#isOutdated && followed.has(this)) {
      this.#isOutdated = false;
      await this.#readOnce();
      if (this.#isOutdated) await new Promise((resolve) => setTimeout(resolve, BETWEEN_READINGS));
    }
    this.#isReading = false;
  }

  async #readOnce() {
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

/** @param {string} run @returns {Promise<any>} @throws {import("../host.mjs").ServerError} */
export function readHistory(run) {
  return getJson(`/lora_atelier/runs/history?${new URLSearchParams({ run })}`);
}
