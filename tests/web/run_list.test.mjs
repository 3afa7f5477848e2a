import assert from "node:assert/strict";
import { test } from "node:test";

import { heard, optionName, search } from "../../web/runs/run_list.mjs";

const run = (name, more = {}) => ({
  run: `${name}-0123`, name, base: "dreamshaper_8.safetensors", family: "SD1.5", changed: 0, state: "finished", step: 10,
  total_steps: 10, epochs: 1, pictures: 4, verdict: null, thumbnail: null, megabytes: 1, has_workflow: false, ...more,
});
const RUNS = [run("Mochi"), run("rain", { base: "sd_xl.safetensors", family: "SDXL" }), run("mochi rain", { state: "training" })];
const event = (name, more = {}) => ({ run: `${name}-0123`, state: "training", step: 4, total_steps: 20, changed: [], ...more });
const said = ({ state }) => (state === "training" ? "in training" : "done");

for (const [text, names] of [
  ["", ["Mochi", "rain", "mochi rain"]],
  ["mochi", ["Mochi", "mochi rain"]],
  ["  MOCHI  rain ", ["mochi rain"]],
  ["sdxl", ["rain"]],
  ["dreamshaper mochi done", ["Mochi"]],
  ["in training", ["mochi rain"]],
  ["nothing like that", []],
]) {
  test(`"${text}" finds ${names.length} runs`, () => {
    assert.deepEqual(search(RUNS, text, said).map(({ name }) => name), names);
  });
}

test("what is heard of the run in training takes it further", () => {
  const runs = heard(RUNS, event("mochi rain"));
  assert.deepEqual(runs.map(({ step, total_steps }) => [step, total_steps]), [[10, 10], [10, 10], [4, 20]]);
  assert.equal(RUNS[2].step, 10);
});

for (const [what, told] of [
  ["a run that is not listed", event("new")],
  ["a run that was finished and is trained again", event("Mochi")],
  ["a run that has ended", event("mochi rain", { state: "finished" })],
  ["a run with new samples", event("mochi rain", { changed: ["samples"] })],
]) {
  test(`of ${what} the server is asked`, () => assert.equal(heard(RUNS, told), null));
}

test("runs of one name are told apart by their ids", () => {
  const again = run("rain", { run: "rain-4567" });
  assert.equal(optionName(RUNS[0], [...RUNS, again]), "Mochi");
  assert.equal(optionName(RUNS[1], [...RUNS, again]), "rain-0123");
  assert.equal(optionName(again, [...RUNS, again]), "rain-4567");
});
