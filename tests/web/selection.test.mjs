import assert from "node:assert/strict";
import { test } from "node:test";

import {
  keepShown, moveTo, NOTHING, select, selectAll, selectNone, toggleOne,
} from "../../web/tag_editor/selection.mjs";

const ORDER = ["a", "b", "c", "d", "e"];
const PLAIN = { range: false, toggle: false };
const SHIFT = { range: true, toggle: false };
const CTRL = { range: false, toggle: true };
const ids = (/** @type {any} */ selection) => [...selection.ids].sort().join("");

test("a click selects one picture only", () => {
  const selection = select(select(NOTHING, ORDER, "a", PLAIN), ORDER, "c", PLAIN);
  assert.equal(ids(selection), "c");
  assert.equal(selection.focus, "c");
});

test("ctrl adds and takes away", () => {
  const two = select(select(NOTHING, ORDER, "a", PLAIN), ORDER, "c", CTRL);
  assert.equal(ids(two), "ac");
  assert.equal(ids(select(two, ORDER, "a", CTRL)), "c");
});

test("shift selects from where the last click was, in both directions", () => {
  const start = select(NOTHING, ORDER, "c", PLAIN);
  const down = select(start, ORDER, "e", SHIFT);
  assert.equal(ids(down), "cde");
  assert.equal(ids(select(down, ORDER, "a", SHIFT)), "abc");
});

test("shift and ctrl add a range to the selection", () => {
  const two = select(select(NOTHING, ORDER, "a", PLAIN), ORDER, "c", CTRL);
  assert.equal(ids(select(two, ORDER, "d", { range: true, toggle: true })), "acd");
});

test("the arrows stop at the ends", () => {
  assert.equal(moveTo(NOTHING, ORDER, 9, PLAIN).focus, "e");
  assert.equal(moveTo(NOTHING, ORDER, -1, PLAIN).focus, "a");
});

test("ctrl with an arrow moves the focus and keeps the selection", () => {
  const moved = moveTo(select(NOTHING, ORDER, "a", PLAIN), ORDER, 2, CTRL);
  assert.equal(moved.focus, "c");
  assert.equal(ids(moved), "a");
});

test("shift with arrows grows and shrinks one range", () => {
  const grown = moveTo(moveTo(select(NOTHING, ORDER, "b", PLAIN), ORDER, 2, SHIFT), ORDER, 3, SHIFT);
  assert.equal(ids(grown), "bcd");
  assert.equal(ids(moveTo(grown, ORDER, 2, SHIFT)), "bc");
});

test("nothing moves where no picture is shown", () => assert.equal(moveTo(NOTHING, [], 0, PLAIN), NOTHING));

test("all, none, and one more", () => {
  assert.equal(ids(selectAll(NOTHING, ORDER)), "abcde");
  assert.equal(ids(selectNone(selectAll(NOTHING, ORDER))), "");
  assert.equal(ids(toggleOne(selectAll(NOTHING, ORDER), "b")), "acde");
});

test("pictures that are not shown are not selected, and the focus goes to one that is", () => {
  const kept = keepShown(selectAll(select(NOTHING, ORDER, "a", PLAIN), ORDER), ["c", "d"]);
  assert.equal(ids(kept), "cd");
  assert.deepEqual([kept.focus, kept.anchor], ["c", "c"]);
  assert.equal(keepShown(kept, []).focus, null);
});

test("a selection is never changed in place", () => {
  const first = select(NOTHING, ORDER, "a", PLAIN);
  toggleOne(first, "b");
  select(first, ORDER, "d", SHIFT);
  assert.equal(ids(first), "a");
});
