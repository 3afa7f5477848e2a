import assert from "node:assert/strict";
import { test } from "node:test";

import { newestRows, RunRecord, samplesByPrompt } from "../../web/runs/record.mjs";

const history = (/** @type {object} */ more = {}) => ({
  run: "mochi-1", name: "mochi", state: "training", step: 2, total_steps: 10, epoch: 1, epochs: 5,
  curve: { step: [1, 2], loss: [0.2, 0.1], low: [0.2, 0.1], high: [0.2, 0.1], rate: [1, 1] },
  validation: [], samples: [], saves: [], verdict: null, ...more,
});
const event = (/** @type {object} */ more = {}) => /** @type {any} */ ({
  run: "mochi-1", name: "mochi", workflow: "w", node: "4", prompt: "p", stage: "training", done: 3, total: 10,
  step: 3, total_steps: 10, epoch: 2, epochs: 5, points: [[3, 0.3, 1]], seconds_per_step: 2, seconds_left: 14,
  memory_mb: 900, changed: [], state: "training", ...more,
});

function watched() {
  const record = new RunRecord("mochi-1");
  record.read(history());
  return record;
}

test("an event goes on where the run's folder ended", () => {
  const record = watched();
  record.take(event());
  assert.deepEqual(record.curve.columns.step, [1, 2, 3]);
  assert.deepEqual([record.step, record.totalSteps, record.epoch, record.secondsLeft], [3, 10, 2, 14]);
});

test("reading the folder again loses no step that came in meanwhile", () => {
  const record = watched();
  record.take(event());
  record.read(history());
  assert.deepEqual(record.curve.columns.step, [1, 2, 3]);
});

test("the folder is read again for what an event only names, and for a run that starts or ends", () => {
  const record = watched();
  assert.equal(record.take(event()), true); // the first word of this prompt
  assert.equal(record.take(event({ points: [] })), false);
  assert.equal(record.take(event({ changed: ["samples"] })), true);
  assert.equal(record.take(event({ state: "finished" })), true);
});

test("a run that is queued again may go on from an earlier step", () => {
  const record = watched();
  record.take(event({ points: [[3, 0.3, 1], [4, 0.4, 1]] }));
  record.take(event({ prompt: "next", step: 3, points: [[3, 0.5, 1]] }));
  record.read(history());
  assert.deepEqual(record.curve.columns.loss, [0.2, 0.1, 0.5]);
});

test("a stage is as far as the server says when a page is opened in the middle of it", () => {
  const record = new RunRecord("mochi-1");
  record.read(history({ stage: "encoding pictures", done: 12, total: 40 }));
  assert.deepEqual([record.stage, record.done, record.total], ["encoding pictures", 12, 40]);
});

test("a run that failed stays so until it is trained again, though its folder is that of a stopped one", () => {
  const record = watched();
  record.take(event({ state: "failed" }));
  record.read(history({ state: "stopped" }));
  assert.equal(record.state, "failed");
  for (const state of ["training", "stopped", "finished"]) {
    record.read(history({ state }));
    assert.equal(record.state, state);
  }
});

test("what is unknown stays unknown", () => {
  const record = watched();
  assert.deepEqual([record.secondsPerStep, record.secondsLeft, record.memory], [null, null, null]);
});

test("samples come in a row for each prompt, from the first to the newest", () => {
  const sample = (/** @type {number} */ number, /** @type {number} */ step) => /** @type {any} */ ({ number, step });
  const rows = samplesByPrompt([sample(1, 20), sample(0, 20), sample(1, 0), sample(0, 0)]);
  assert.deepEqual(rows, [[sample(0, 0), sample(0, 20)], [sample(1, 0), sample(1, 20)]]);
});

test("what is drawn otherwise than before has a row of its own", () => {
  const one = { number: 1, prompt: "cat", negative: "", seed: 1, width: 512, height: 512 };
  for (const change of [{ prompt: "dog" }, { negative: "text" }, { seed: 2 }, { width: 768 }, { height: 768 }]) {
    const [old, edited] = [[0, 10], [20, 30]].map((steps, at) =>
      steps.map((step) => /** @type {any} */ ({ ...one, ...(at && change), step })));
    assert.deepEqual(samplesByPrompt([...edited, ...old]), [old, edited]);
  }
});

test("where there is room for a few rows only, the prompts of now come before those of earlier", () => {
  const sample = (number, prompt, step) => /** @type {any} */ ({ number, prompt, step });
  const now = [sample(1, "dog", 20), sample(2, "cow", 20)];
  const rows = newestRows([sample(1, "cat", 0), sample(2, "bird", 0), ...now], 3);
  assert.deepEqual(rows.map((row) => row[0].prompt), ["dog", "cow", "cat"]);
});
