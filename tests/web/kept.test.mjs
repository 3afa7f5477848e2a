import assert from "node:assert/strict";
import test from "node:test";

import { readKept } from "../../web/runs/kept.mjs";

const LORA = { epoch: 2, step: 20, loss: 0.1, is_best: true };
const KEPT = { run: "cat-1", name: "cat", epochs: [LORA] };

test("what a node remembers of a run's LoRAs is read, also without a step or a loss", () => {
  assert.equal(readKept(KEPT), KEPT);
  for (const lora of [{ ...LORA, loss: null }, { epoch: 1, loss: 0.5, is_best: false }]) {
    assert.ok(readKept({ ...KEPT, epochs: [lora] }));
  }
});

test("anything else in a workflow is as if there were nothing", () => {
  const loras = [null, 5, {}, { ...LORA, epoch: "2" }, { ...LORA, loss: "low" }, { ...LORA, step: null }];
  const broken = [undefined, null, 5, "x", [], {}, { ...KEPT, run: 1 }, { ...KEPT, name: undefined },
    { ...KEPT, epochs: {} }, ...loras.map((lora) => ({ ...KEPT, epochs: [lora] }))];
  for (const value of broken) assert.equal(readKept(value), null, JSON.stringify(value));
});
