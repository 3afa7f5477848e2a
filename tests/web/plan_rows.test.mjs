import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { byPart, labelOf, planRows } from "../../web/runs/plan_rows.mjs";

const DEFAULTS = { epochs: 10, network: { rank: 16, alpha: 8 }, optimizer: { name: "AdamW", beta1: null }, files: { list: [] } };
const PLAN = { epochs: 10, network: { rank: 32, alpha: 8 }, optimizer: { name: "AdamW", beta1: 0.9 }, files: { list: [] } };
const ZH = JSON.parse(readFileSync(new URL("../../locales/zh/nodeDefs.json", import.meta.url), "utf-8"));

test("every setting is a row, those that are no group's among them", () => {
  const rows = planRows(PLAN, DEFAULTS);
  assert.deepEqual(rows.map(({ part, name }) => `${part}.${name}`), [
    ".epochs", "network.rank", "network.alpha", "optimizer.name", "optimizer.beta1", "files.list",
  ]);
});

test("rows that differ from the default are marked, and know it", () => {
  const changed = planRows(PLAN, DEFAULTS).filter(({ isChanged }) => isChanged);
  assert.deepEqual(changed.map(({ name, value, usual }) => [name, value, usual]), [["rank", 32, 16], ["beta1", 0.9, null]]);
});

test("a setting that this version has no default of counts as changed", () => {
  const [row] = planRows({ new: { one: 1 } }, {});
  assert.equal(row.isChanged, true);
});

test("a setting without a value is a row, not a group", () => {
  assert.deepEqual(planRows({ limit: null }, { limit: null }), [{ part: "", name: "limit", value: null, usual: null, isChanged: false }]);
});

test("rows are grouped in the plan's order", () => {
  const groups = byPart(planRows(PLAN, DEFAULTS)).map(([part, rows]) => [part, rows.length]);
  assert.deepEqual(groups, [["", 1], ["network", 2], ["optimizer", 2], ["files", 1]]);
});

for (const [part, name, label] of [
  ["", "epochs", "训练轮数"],
  ["network", "rank", "秩 (rank)"],
  ["optimizer", "name", "优化器"],
  ["schedule", "name", "学习率调度"],
  ["adapter", "conv_rank", "卷积层的秩"],
  ["noise", "offset", "噪声偏移"],
  ["timesteps", "first", "最小时间步"],
  ["weighting", "min_snr_gamma", "最小信噪比 gamma"],
  ["captions", "shuffle", "打乱标注"],
  ["samples", "every_epochs", "每几轮画一次"],
  ["validation", "every_epochs", "每几轮验证"],
]) {
  test(`${part}.${name} is called as on its node`, () => assert.equal(labelOf({ part, name }, ZH), label));
}

test("what no node has is called by its plain name", () => {
  assert.equal(labelOf({ part: "made_up", name: "some_thing" }, ZH), "some thing");
  assert.equal(labelOf({ part: "network", name: "rank" }, {}), "rank");
});
