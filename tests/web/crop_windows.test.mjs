import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { CropDesk } from "../../web/crop_editor/desk.mjs";
import { byPicture, readOverrides, valueOf, wishOf, writeOverrides } from "../../web/crop_editor/overrides.mjs";
import {
  centerWindow, cornerDragged, edgeDragged, moved, scaled, sizeOf, windowAroundBox,
} from "../../web/crop_editor/windows.mjs";

const cases = JSON.parse(readFileSync(new URL("../crop_window_cases.json", import.meta.url), "utf-8"));
const BUCKETS = /** @type {const} */ ([[384, 640], [448, 576], [512, 512], [576, 448], [640, 384]]);

/** A desk of one picture, by the rules of a case. `shapes` are those that the server would send. */
function deskOf([width, height], value, shapes, enlarge, step = 64) {
  const picture = {
    id: "0", key: "a.png", path: "set/a.png", name: "a.png", width, height, window: [0, 0, width, height],
    shape: shapes[0], method: "whole", subject_kept: 1, cuts_subject: false,
  };
  return new CropDesk({ shapes, step, enlarge, pictures: [picture] }, readOverrides(`a.png: ${value}`), () => {});
}

/** Of rules without buckets there is one shape; of others those that kohya's list has. */
function shapesOf({ width, height, buckets }) {
  if (!buckets) return { shapes: [[width, height]], step: Math.min(width, height) < 256 ? 8 : 64 };
  const step = Math.min(width, height) < 256 ? 8 : 64;
  const least = Math.min(256, Math.max(step, Math.round(Math.min(width, height) / 2 / step) * step));
  const shapes = new Map();
  for (let side = least; side <= 2 * Math.max(width, height); side += step) {
    const other = Math.min(2 * Math.max(width, height), Math.floor((width * height) / side / step) * step);
    if (other >= least) for (const shape of [[side, other], [other, side]]) shapes.set(String(shape), shape);
  }
  return { shapes: [...shapes.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]), step };
}

for (const { rules, picture, value, shape, window } of cases.windows) {
  test(`${value} of ${picture} by ${JSON.stringify(rules)} is where the server puts it`, () => {
    const { shapes, step } = shapesOf(rules);
    const crop = deskOf(picture, value, shapes, rules.enlarge ?? false, step).crop("0");
    assert.deepEqual([crop.shape, crop.window], [shape, window]);
  });
}

for (const { text, overrides } of cases.texts) {
  test(`overrides are read as the server reads them: ${JSON.stringify(text.slice(0, 20))}`, () => {
    const found = [...readOverrides(text)].map(([key, value]) => [key, wishOf(value)]);
    assert.deepEqual(Object.fromEntries(found), overrides);
  });

  test(`overrides are written so that they come back: ${JSON.stringify(text.slice(0, 20))}`, () => {
    const overrides = readOverrides(text);
    assert.deepEqual(readOverrides(writeOverrides(overrides)), overrides);
  });
}

for (const text of cases.unreadable) {
  test(`${JSON.stringify(text)} cannot be read`, () => assert.throws(() => readOverrides(text), SyntaxError));
}

for (const { overrides, paths, keys } of cases.names) {
  test(`${overrides} find the pictures that the server finds`, () => {
    const texts = new Map(overrides.map((key, number) => [key, `0, 0.${number}`]));
    const pictures = paths.map((path) => ({ key: path, path }));
    const found = byPicture(texts, pictures);
    assert.deepEqual(paths.map((path) => found.get(path)), keys.map((key) => texts.get(key)));
  });
}

test("an override that names no picture is kept", () => {
  const found = byPicture(readOverrides("b.png: left"), [{ key: "a.png", path: "a.png" }]);
  assert.deepEqual([...found], [["b.png", "left"]]);
});

test("lines are what a person would write", () => {
  const overrides = new Map([["a b.png", valueOf([1, 2, 3, 4])], ["c.png", "left"]]);
  assert.equal(writeOverrides(overrides), "a b.png: 1, 2, 3, 4\nc.png: left");
});

test("a name with a line break is written as JSON", () => {
  assert.equal(writeOverrides(new Map([["a\nb.png", "1, 2, 3, 4"]])), '{"a\\nb.png":[1,2,3,4]}');
});

/** The same numbers on every run. */
function randomNumbers(seed) {
  let state = seed;
  return (most) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state % most;
  };
}

test("whatever is dragged stays inside, keeps its shape, and is what the server makes of it", () => {
  const random = randomNumbers(7);
  for (let round = 0; round < 4000; round += 1) {
    const picture = /** @type {const} */ ([200 + random(1800), 200 + random(1800)]);
    const shape = BUCKETS[random(BUCKETS.length)];
    const aspect = shape[0] / shape[1];
    const start = scaled(centerWindow(picture, aspect), (20 + random(80)) / 100, picture, aspect);
    const [x, y] = [random(picture[0] + 200) - 100, random(picture[1] + 200) - 100];
    const corner = ["nw", "ne", "sw", "se"][random(4)];
    for (const window of [
      moved(start, x - 300, y - 300, picture), cornerDragged(start, corner, x, y, picture, aspect),
      edgeDragged(start, "nesw"[random(4)], x, y, picture, BUCKETS), scaled(start, 1.03, picture, aspect),
    ]) {
      const [left, top, right, bottom] = window;
      assert.ok(left >= 0 && top >= 0 && right <= picture[0] && bottom <= picture[1], `${window} of ${picture}`);
      assert.ok(right - left >= 10 && bottom - top >= 10, `${window} of ${picture}`);
      const crop = deskOf(picture, valueOf(window), BUCKETS, true).crop("0");
      const [across, down] = sizeOf(crop.window);
      const largest = sizeOf(centerWindow(picture, crop.shape[0] / crop.shape[1])); // it is rounded to fill the picture
      const isLargest = String(sizeOf(crop.window)) === String(largest);
      const isSame = window.every((side, place) => Math.abs(side - crop.window[place]) <= (isLargest ? 1 : 0));
      assert.ok(isSame, `${window} becomes ${crop.window} of ${picture}`);
      const wanted = crop.shape[0] / crop.shape[1];
      assert.ok(Math.abs(across / down - wanted) < (1.01 * wanted) / Math.min(across, down), `${crop.window}`);
      assert.deepEqual(deskOf(picture, valueOf(crop.window), BUCKETS, true).crop("0").window, crop.window);
    }
  }
});

test("the corner opposite to the dragged one stays", () => {
  assert.deepEqual(cornerDragged([100, 100, 200, 200], "se", 260, 150, [400, 400], 1), [100, 100, 260, 260]);
  assert.deepEqual(cornerDragged([100, 100, 200, 200], "nw", 150, 170, [400, 400], 1), [150, 150, 200, 200]);
  assert.deepEqual(cornerDragged([100, 100, 200, 200], "ne", 900, 0, [400, 400], 1), [100, 0, 300, 200]);
});

test("an edge goes to the nearest shape and leaves its opposite in place", () => {
  const [left, top, right, bottom] = edgeDragged([100, 100, 612, 612], "e", 930, 300, [2000, 2000], BUCKETS);
  assert.deepEqual([left, top, bottom], [100, 100, 612]);
  assert.equal(right - left, Math.round(512 * (640 / 384)));
});

test("a window cannot be moved out of its picture", () => {
  assert.deepEqual(moved([10, 10, 60, 60], -500, 500, [100, 200]), [0, 150, 50, 200]);
});

test("a window cannot be made smaller than a hand can hold", () => {
  const [across, down] = sizeOf(cornerDragged([0, 0, 100, 100], "se", 1, 1, [400, 400], 1));
  assert.deepEqual([across, down], [16, 16]);
});

test("a padded window that is moved comes into its picture", () => {
  const window = moved([-50, 0, 250, 300], 10, 0, [200, 300]);
  assert.deepEqual(windowAroundBox(window, [200, 300], 1), [0, 50, 200, 250]);
});

test("dragging is one step that undo takes back", () => {
  const desk = deskOf([1000, 600], "0, 0, 512, 512", [[512, 512]], false);
  desk.preview("0", [10, 0, 522, 512]);
  desk.preview("0", [30, 5, 542, 517]);
  assert.deepEqual(desk.crop("0").window, [30, 5, 542, 517]);
  assert.equal(desk.history.canUndo, false);
  desk.commit();
  assert.equal(writeOverrides(desk.overrides), "a.png: 30, 5, 542, 517");
  desk.undo();
  assert.deepEqual(desk.crop("0").window, [0, 0, 512, 512]);
  desk.redo();
  assert.deepEqual(desk.crop("0").window, [30, 5, 542, 517]);
});

test("a picture that is reset has the window that Smart Crop chose", () => {
  const desk = deskOf([1000, 600], "left", [[512, 512]], false);
  desk.reset("0");
  assert.deepEqual(desk.crop("0").window, [0, 0, 1000, 600]);
  assert.equal(writeOverrides(desk.overrides), "");
});

test("filters count, and a picture that is set by hand stays until they are asked again", () => {
  const desk = deskOf([1000, 600], "0, 0, 256, 256", [[512, 512]], true);
  assert.deepEqual(["all", "cut", "enlarged", "byHand"].map((filter) => desk.countOf(filter)), [1, 0, 1, 1]);
  desk.show("byHand");
  desk.reset("0");
  assert.deepEqual(desk.shown, ["0"]);
  desk.show("byHand");
  assert.deepEqual([desk.shown, desk.focus], [[], null]);
});
