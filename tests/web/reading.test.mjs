import assert from "node:assert/strict";
import { test } from "node:test";

import { Reading } from "../../web/parts/reading.mjs";

const PAUSE = 20;

/** Readings that end when they are told to. */
function heldBack() {
  const ends = [];
  const reading = new Reading(() => new Promise((resolve) => ends.push(resolve)), PAUSE);
  const end = (/** @type {number} */ at) => {
    ends[at]();
    return new Promise((resolve) => setTimeout(resolve, 3 * PAUSE));
  };
  return { reading, ends, end };
}

test("what is asked for while nothing is read is read at once", () => {
  const { reading, ends } = heldBack();
  reading.again();
  assert.equal(ends.length, 1);
});

test("however often it is asked for meanwhile, it is read once more", async () => {
  const { reading, ends, end } = heldBack();
  reading.again();
  for (let times = 0; times < 5; times += 1) reading.again();
  assert.equal(ends.length, 1);
  await end(0);
  assert.equal(ends.length, 2);
  await end(1);
  assert.equal(ends.length, 2);
});

test("there is a pause before the next reading", async () => {
  const { reading, ends } = heldBack();
  reading.again();
  reading.again();
  ends[0]();
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(ends.length, 1);
});

test("after a reading has ended, the next one begins at once", async () => {
  const { reading, ends, end } = heldBack();
  reading.again();
  await end(0);
  reading.again();
  assert.equal(ends.length, 2);
});

test("nothing is read once it is stopped", async () => {
  const { reading, ends, end } = heldBack();
  reading.again();
  reading.again();
  reading.stop();
  await end(0);
  reading.again();
  assert.equal(ends.length, 1);
});

test("a reading that failed does not keep the next one from being read", async () => {
  let count = 0;
  const reading = new Reading(async () => {
    count += 1;
    throw new Error("a history that cannot be read");
  });
  await assert.rejects(reading.again());
  await assert.rejects(reading.again());
  assert.equal(count, 2);
});
