import assert from "node:assert/strict";
import test, { beforeEach, mock } from "node:test";

import { api, app, graph } from "./page/page.mjs";

mock.timers.enable({ apis: ["setInterval", "Date"] });
const { findAgain, LiveRun, takeRun } = await import("../../web/runs/live.mjs");
const { FollowedRun } = await import("../../web/runs/followed_run.mjs");

const settled = () => new Promise((resolve) => setImmediate(resolve));
const HISTORY = { name: "cat", state: "training", step: 5, total_steps: 9, epoch: 1, epochs: 1, curve: {},
  validation: [], samples: [], saves: [], verdict: null };
const EVENT = { workflow: "a-workflow", node: "1", run: "told", name: "told", prompt: "p", state: "training",
  changed: [], points: [], step: 7 };

/** @type {Map<string, (answer: any) => void>} what is asked and not answered yet, the newest of each path */
let open;
let asked;

beforeEach(() => {
  [open, asked] = [new Map(), []];
  api.answer = (path) => {
    asked.push(path.replace(/\?.*/, ""));
    return new Promise((resolve) => open.set(path.replace(/\?.*/, ""), (value) => resolve({ value })));
  };
});

function liveRun() {
  const node = { id: 1 };
  app.rootGraph = graph("a-workflow", [node]);
  const live = new LiveRun(node, () => {});
  live.begin();
  return live;
}

const RUN_OF = "/lora_atelier/runs/of";
const historyOf = "/lora_atelier/runs/history";

test("the newest run of a node is found and read", async () => {
  const live = liveRun();
  await settled();
  open.get(RUN_OF)({ run: "found" });
  await settled();
  open.get(historyOf)(HISTORY);
  await settled();
  assert.deepEqual([live.record.run, live.record.name, live.record.step], ["found", "cat", 5]);
  live.stop();
});

test("an answer that comes late does not take the place of a run that was heard of since", async () => {
  const live = liveRun();
  await settled();
  api.tell("lora_atelier.run", EVENT);
  assert.deepEqual([live.record.run, live.record.step], ["told", 7]);
  open.get(RUN_OF)({ run: "an earlier one" });
  await settled();
  assert.equal(live.record.run, "told");
  live.stop();
});

test("of two questions the answer to the later one counts, whichever comes first", async () => {
  const live = liveRun();
  await settled();
  const early = open.get(RUN_OF);
  live.find();
  open.get(RUN_OF)({ run: "new" });
  await settled();
  early({ run: null });
  await settled();
  assert.equal(live.record.run, "new");
  live.stop();
});

test("a node that is removed while its run is looked for follows none", async () => {
  const live = liveRun();
  await settled();
  live.stop();
  open.get(RUN_OF)({ run: "found" });
  await settled();
  assert.equal(live.record, null);
  assert.deepEqual(asked, [RUN_OF]);
  api.tell("lora_atelier.run", { ...EVENT, run: "found" });
  assert.equal(live.record, null);
});

test("a run of which nothing is heard is asked for, by the node and by every view of it", async () => {
  const view = new FollowedRun("quiet", () => {}, () => {});
  open.get(historyOf)(HISTORY);
  await settled();
  mock.timers.tick(6_000);
  mock.timers.tick(6_000);
  assert.deepEqual(asked, [historyOf, historyOf]);
  view.leave();
  mock.timers.tick(60_000);
  assert.equal(asked.length, 2);
});

test("a run that a later node was given from the cache is shown by the node that would train it", async () => {
  const train = { id: 1 };
  const link = { origin_id: 1, origin_slot: 0 };
  const sheet = { id: 2, inputs: [{ link: 5 }] };
  app.rootGraph = graph("a-workflow", [train, sheet]);
  app.rootGraph.getLink = () => link;
  const live = new LiveRun(train, () => {});
  live.begin();
  await settled();
  open.get(RUN_OF)({ run: null });
  await settled();
  takeRun(sheet, "cached");
  assert.equal(asked.at(-1), "/lora_atelier/runs/shown");
  open.get("/lora_atelier/runs/shown")({});
  await settled();
  open.get(RUN_OF)({ run: "cached" });
  await settled();
  assert.equal(live.record.run, "cached");
  live.stop();
});

test("a node whose run was deleted shows none, or the one before", async () => {
  const live = liveRun();
  await settled();
  open.get(RUN_OF)({ run: "found" });
  await settled();
  open.get(historyOf)({ ...HISTORY, state: "finished" });
  await settled();
  findAgain();
  open.get(RUN_OF)({ run: null });
  await settled();
  assert.equal(live.record, null);
  live.stop();
});
