import assert from "node:assert/strict";
import { test } from "node:test";

import { COLUMNS, LINES, lossRange, tablesOf, valueAt, zoomed } from "../../web/runs/chart_lines.mjs";
import { Curve } from "../../web/runs/curve.mjs";
import uPlot from "../../web/vendor/uPlot.mjs";

const curve = (step, loss) => new Curve({ step, loss, rate: step.map(() => 1e-4) });
const measured = (step, held_out_loss) => ({ epoch: step, step, training_loss: 1, held_out_loss });

const RUN = { curve: curve([1, 2, 3, 4], [4, 3, null, 1]), validation: [measured(0, 5), measured(2, null), measured(4, 2)] };
const OTHER = { curve: curve([2, 6], [9, 7]), validation: [] };

test("the tables of two runs are joined to the chart's columns, at all their steps", () => {
  const data = uPlot.join(tablesOf(RUN, OTHER));
  assert.deepEqual([...data[0]], [0, 1, 2, 3, 4, 6]);
  assert.equal(data.length, 1 + Object.keys(COLUMNS).length);
  assert.deepEqual([data[COLUMNS.raw][4], data[COLUMNS.low][4], data[COLUMNS.high][4]], [1, 1, 1]);
  assert.deepEqual([data[COLUMNS.heldOut][0], data[COLUMNS.heldOut][4]], [5, 2]);
  assert.equal(data[COLUMNS.rate][1], 1e-4);
  assert.equal(data[COLUMNS.otherSmooth][2], 9);
});

test("without a second run nothing is drawn of one", () => {
  const data = uPlot.join(tablesOf(RUN, null));
  assert.deepEqual([...data[0]], [0, 1, 2, 3, 4]);
  for (const column of [COLUMNS.otherSmooth, COLUMNS.otherHeldOut]) assert.equal(valueAt(data[column], 4), null);
});

test("an epoch without a held-out loss is no point of its line", () => {
  assert.equal(uPlot.join(tablesOf(RUN, null))[COLUMNS.heldOut][2], undefined);
});

test("each column belongs to one entry of the legend", () => {
  const columns = Object.values(LINES).flat();
  assert.deepEqual([...columns].sort(), Object.values(COLUMNS).sort());
});

for (const [at, value] of [[0, 3], [1, 3], [2, 3], [3, 8], [4, 8]]) {
  test(`a line with gaps is ${value} at place ${at}`, () => {
    assert.equal(valueAt([undefined, 3, null, 8, undefined], at), value);
  });
}

test("a line without points has no value", () => assert.equal(valueAt([null, undefined], 1), null));

test("the losses shown are those of the steps shown", () => {
  const data = uPlot.join(tablesOf({ curve: curve([1, 2, 3, 4], [100, 1, 1.2, 90]), validation: [] }, null));
  data[COLUMNS.smooth] = [100, 1, 1.1, 90];
  const [low, high] = lossRange(data, 2, 3, true);
  assert.ok(low > 0.9 && low <= 1 && high >= 1.2 && high < 1.3, `${low} to ${high}`);
});

test("losses of single steps that are hidden do not widen the chart", () => {
  const data = uPlot.join(tablesOf({ curve: curve([1, 2, 3], [0.1, 9, 0.1]), validation: [] }, null));
  data[COLUMNS.smooth] = [0.1, 0.12, 0.1];
  assert.ok(lossRange(data, 1, 3, false)[1] < 0.2);
  assert.ok(lossRange(data, 1, 3, true)[1] > 5);
});

test("a chart is zoomed around a step that stays where it is, and never beyond the run", () => {
  assert.deepEqual(zoomed([0, 100], 50, 0.5, [0, 100]), [25, 75]);
  assert.deepEqual(zoomed([0, 100], 0, 0.5, [0, 100]), [0, 50]);
  assert.deepEqual(zoomed([25, 75], 50, 10, [0, 100]), [0, 100]);
});
