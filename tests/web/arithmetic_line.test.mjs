import assert from "node:assert/strict";
import test, { mock } from "node:test";

import { api, app, graph } from "./page/page.mjs";

mock.timers.enable({ apis: ["setInterval", "Date"] });
const { ArithmeticLine } = await import("../../web/runs/arithmetic_line.mjs");

const settled = () => new Promise((resolve) => setImmediate(resolve));

async function pass(milliseconds) {
  for (let passed = 0; passed < milliseconds; passed += 100) {
    mock.timers.tick(100);
    await settled();
  }
}

function line() {
  const node = { id: 1, comfyClass: "LoraAtelierTrainLora", widgets: [{ name: "rank", value: 16 }], inputs: [] };
  app.rootGraph = graph("a-workflow", [node]);
  api.asked.length = 0;
  return new ArithmeticLine(node, () => "cat-1");
}

test("a server that does not answer is asked again after a rest, and not at every look", async () => {
  const shown = line();
  api.answer = () => Promise.reject(new TypeError("Failed to fetch"));
  shown.begin();
  await pass(3000);
  assert.equal(api.asked.length, 1);
  await pass(6000);
  assert.equal(api.asked.length, 2);
  shown.stop();
});

test("what is refused is shown, and not asked for again until something changes", async () => {
  const shown = line();
  api.answer = async () => ({ status: 400, value: { error: "rank is 0." } });
  shown.begin();
  await pass(9000);
  assert.equal(api.asked.length, 1);
  assert.ok(shown.element.find("rank is 0."));
  shown.node.widgets[0].value = 8;
  await pass(1000);
  assert.equal(api.asked.length, 2);
  shown.stop();
  shown.node.widgets[0].value = 4;
  await pass(3000);
  assert.equal(api.asked.length, 2, "it is over");
});
