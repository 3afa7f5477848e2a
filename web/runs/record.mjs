/**
 * What is known of one run: what its folder told, and what has come since.
 *
 * @typedef {{run: string, name: string, workflow: string | null, node: string, prompt: string, stage: string,
 *   done: number, total: number, step: number, total_steps: number, epoch: number, epochs: number,
 *   points: [number, number | null, number | null][], seconds_per_step: number | null, seconds_left: number | null,
 *   memory_mb: number | null, changed: string[], state: "training" | "finished" | "stopped" | "failed"}} RunEvent
 * @typedef {{epoch: number, step: number, number: number, prompt: string, negative: string, seed: number,
 *   width: number, height: number}} Sample
 * @typedef {{epoch: number, step: number, file: string, megabytes: number, is_best: boolean, is_last: boolean}} Save
 * @typedef {{epoch: number, step: number, training_loss: number | null, held_out_loss: number | null}} Measured
 * @typedef {import("./verdict.mjs").Verdict} Verdict
 */

import { Curve } from "./curve.mjs";

export const TRAINING = "training";

export class RunRecord {
  /** @param {string} run */
  constructor(run) {
    this.run = run;
    this.name = run;
    this.state = /** @type {RunEvent["state"]} */ (TRAINING);
    this.stage = "";
    this.done = this.total = this.step = this.totalSteps = this.epoch = this.epochs = 0;
    this.secondsPerStep = this.secondsLeft = this.memory = /** @type {number | null} */ (null);
    this.curve = new Curve();
    this.validation = /** @type {Measured[]} */ ([]);
    this.samples = /** @type {Sample[]} */ ([]);
    this.saves = /** @type {Save[]} */ ([]);
    this.verdict = /** @type {Verdict | null} */ (null);
    this.prompt = /** @type {string | null} */ (null);
  }

  get isTraining() {
    return this.state === TRAINING;
  }

  /** Take everything that the run's folder tells.
   * @param {any} history as /runs/history answers */
  read(history) {
    this.name = history.name;
    // A folder cannot tell a run that failed from one that was stopped.
    if (this.state !== "failed" || history.state !== "stopped") this.state = history.state;
    this.stage = history.stage ?? "";
    [this.done, this.total] = [history.done ?? 0, history.total ?? 0];
    [this.step, this.totalSteps] = [history.step, history.total_steps];
    [this.epoch, this.epochs] = [history.epoch, history.epochs];
    this.#measure(history);
    const { columns } = this.curve;
    this.curve = new Curve(history.curve);
    this.curve.add(columns.step.map((step, at) => [step, columns.loss[at], columns.rate[at]])); // came in meanwhile
    this.validation = history.validation;
    this.samples = history.samples;
    this.saves = history.saves;
    this.verdict = history.verdict;
  }

  /** Take what has happened since.
   * @param {RunEvent} event @returns {boolean} whether the folder has more to tell than the event does */
  take(event) {
    const isAnother = this.prompt !== event.prompt;
    const isNews = isAnother || event.state !== this.state || event.changed.length > 0;
    const isWatched = this.prompt === null && this.isTraining;
    if (isAnother && !isWatched) this.curve = new Curve(); // it may go on from an earlier step
    this.prompt = event.prompt;
    this.name = event.name;
    this.state = event.state;
    this.stage = event.stage;
    [this.done, this.total] = [event.done, event.total];
    [this.step, this.totalSteps] = [event.step, event.total_steps];
    [this.epoch, this.epochs] = [event.epoch, event.epochs];
    this.#measure(event);
    this.curve.add(event.points);
    return isNews;
  }

  #measure({ seconds_per_step, seconds_left, memory_mb }) {
    this.secondsPerStep = seconds_per_step ?? null;
    this.secondsLeft = seconds_left ?? null;
    this.memory = memory_mb ?? null;
  }
}

/** The samples by what they show, each row from the first epoch to the last. A run goes on as the same one when its
 * prompts are edited: one that is not what it was begins a row of its own.
 * @param {Sample[]} samples @returns {Sample[][]} */
export function samplesByPrompt(samples) {
  /** @type {Map<string, Sample[]>} */
  const rows = new Map();
  for (const sample of [...samples].sort((one, other) => one.number - other.number || one.step - other.step)) {
    const { number, prompt, negative, seed, width, height } = sample;
    const shown = JSON.stringify([number, prompt, negative, seed, width, height]);
    rows.set(shown, [...(rows.get(shown) ?? []), sample]);
  }
  return [...rows.values()];
}

/** Of these rows so many as there is room for: those that are still drawn, before those of earlier prompts.
 * @param {Sample[]} samples @param {number} most @returns {Sample[][]} */
export function newestRows(samples, most) {
  const newest = (/** @type {Sample[]} */ row) => row[row.length - 1].step;
  return samplesByPrompt(samples).sort((one, other) => newest(other) - newest(one)).slice(0, most);
}
