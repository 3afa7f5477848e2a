import assert from "node:assert/strict";
import { test } from "node:test";

import { Curve, MOST_POINTS, shownRange } from "../../web/runs/curve.mjs";

const point = (/** @type {number} */ step, loss = 0.1, rate = 1e-4) => /** @type {any} */ ([step, loss, rate]);
const near = (one, other) => assert.ok(Math.abs(one - other) < 1e-9, `${one} is not ${other}`);

test("an hour of events leaves a curve of bounded length that still has every step", () => {
  const curve = new Curve();
  for (let step = 1; step <= 200_000; step += 50) {
    curve.add(Array.from({ length: 50 }, (_, more) => point(step + more)));
    assert.ok(curve.length <= 2 * MOST_POINTS);
  }
  assert.equal(curve.lastStep, 200_000);
  assert.ok(curve.length > MOST_POINTS / 2);
  assert.deepEqual(curve.columns.step, curve.columns.step.toSorted((one, other) => one - other));
});

test("points that are merged keep their mean, their extremes and the last rate", () => {
  const curve = new Curve();
  const losses = Array.from({ length: 2 * MOST_POINTS + 1 }, (_, step) => Math.sin(step));
  curve.add(losses.map((loss, at) => point(at + 1, loss, at)));
  const { step, loss, low, high, rate } = curve.columns;
  assert.equal(curve.length, MOST_POINTS + 1);
  assert.deepEqual([step[0], step[1], step.at(-1)], [2, 4, losses.length]);
  near(loss[0], (losses[0] + losses[1]) / 2);
  for (const at of [0, 2]) {
    const pair = losses.slice(2 * at, 2 * at + 2);
    assert.deepEqual([low[at], high[at]], [Math.min(...pair), Math.max(...pair)]);
  }
  assert.equal(rate[0], 1);
  assert.equal(loss.at(-1), losses.at(-1)); // the odd one stays alone
});

test("points that stand for more steps weigh more when they are merged", () => {
  const curve = new Curve({ step: [30, 40], loss: [1, 5], rate: [1, 1] });
  curve.add(Array.from({ length: 2 * MOST_POINTS - 1 }, (_, at) => point(41 + at)));
  near(curve.columns.loss[0], (1 * 30 + 5 * 10) / 40);
});

test("steps that are known already are not taken up again", () => {
  const curve = new Curve({ step: [1, 2], loss: [1, 2], rate: [1, 1] });
  curve.add([point(2, 9), point(3, 3)]);
  assert.deepEqual(curve.columns.loss, [1, 2, 3]);
});

test("a loss that is not finite leaves a gap, and no trace in the mean", () => {
  const curve = new Curve({ step: [1, 2, 3], loss: [1, null, 1], rate: [1, 1, 1] });
  assert.deepEqual(curve.smooth(), [1, 1, 1]);
  assert.deepEqual(new Curve({ step: [1], loss: [null], rate: [1] }).smooth(), [null]);
});

test("the running mean starts at the first loss and follows a change within a twentieth of the run", () => {
  const curve = new Curve();
  curve.add(Array.from({ length: 1000 }, (_, at) => point(at + 1, at < 500 ? 1 : 0)));
  const smooth = curve.smooth();
  assert.equal(smooth[0], 1);
  near(smooth[499], 1);
  assert.ok(smooth[549] < 0.4 && smooth[549] > 0.3); // 1 / e
});

test("a point that stands for many steps counts as many in the running mean", () => {
  const single = new Curve();
  single.add(Array.from({ length: 100 }, (_, at) => point(at + 1, at < 50 ? 1 : 0)));
  const merged = new Curve({ step: [50, 100], loss: [1, 0], rate: [1, 1] });
  near(merged.smooth()[1], single.smooth()[99]);
});

test("one loss in a hundred may leave the chart, what must be seen may not", () => {
  const losses = [...Array.from({ length: 198 }, (_, at) => 0.1 + at / 10_000), 40, 50];
  const [low, high] = shownRange(losses, [0.02]);
  assert.ok(low < 0.02 && low >= 0);
  assert.ok(high < 0.2);
  assert.ok(shownRange(losses, [3])[1] > 3);
});

test("a chart never shows losses below zero", () => assert.equal(shownRange([0.001, 1], [])[0], 0));

test("a chart of one loss, or of none, has a range", () => {
  const [low, high] = shownRange([0.1], []);
  assert.ok(low < 0.1 && high > 0.1);
  assert.deepEqual(shownRange([], []), [0, 1]);
});
