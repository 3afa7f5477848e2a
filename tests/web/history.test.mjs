import assert from "node:assert/strict";
import { test } from "node:test";

import { History } from "../../web/parts/history.mjs";

const of = (/** @type {object} */ values) => new Map(Object.entries(values));

test("undo and redo go through every step", () => {
  const history = new History(of({ a: 1 }));
  history.record(of({ a: 2, b: 1 }));
  history.record(of({ b: undefined, c: 3 }));
  assert.deepEqual(history.values, of({ a: 2, c: 3 }));
  history.undo();
  assert.deepEqual(history.values, of({ a: 2, b: 1 }));
  history.undo();
  assert.deepEqual(history.values, of({ a: 1 }));
  history.redo();
  history.redo();
  assert.deepEqual(history.values, of({ a: 2, c: 3 }));
});

test("ten thousand steps can be undone", () => {
  const history = new History(new Map());
  for (let step = 1; step <= 10_000; step++) history.record(of({ a: step }));
  while (history.canUndo) history.undo();
  assert.deepEqual(history.values, new Map());
});

test("what changes nothing is no step", () => {
  const history = new History(of({ a: 1 }));
  assert.deepEqual(history.record(of({ a: 1, b: undefined })), []);
  assert.equal(history.canUndo, false);
});

test("a new step ends the way forward", () => {
  const history = new History(new Map());
  history.record(of({ a: 1 }));
  history.undo();
  history.record(of({ b: 1 }));
  assert.equal(history.canRedo, false);
  assert.deepEqual(history.redo(), []);
});

test("every step tells which keys it changed", () => {
  const history = new History(of({ a: 1 }));
  assert.deepEqual(history.record(of({ a: 1, b: 2 })), ["b"]);
  assert.deepEqual(history.undo(), ["b"]);
  assert.deepEqual(history.redo(), ["b"]);
});
