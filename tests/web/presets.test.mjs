import assert from "node:assert/strict";
import { test } from "node:test";

import { changedSince, choicesOf, explained, listed, presetOf } from "../../web/presets.mjs";

const preset = (subject, family, memory) => ({
  subject, family, memory, fields: { rank: 8, learning_rate: 1e-4, flip: false }, reasons: { rank: "enough" }, needs: {},
});
const PRESETS = [
  preset("person", "SD1.5", 6), preset("person", "SD1.5", 24), preset("person", "SDXL", 8), preset("person", "SDXL", 24),
  preset("style", "SDXL", 24),
];

test("only memories that the family has presets for are offered", () => {
  assert.deepEqual(choicesOf(PRESETS, "SDXL"), {
    subjects: ["person", "style"], families: ["SD1.5", "SDXL"], memories: [8, 24],
  });
});

for (const [family, memory, found] of [["SD1.5", 6, 6], ["SDXL", 6, 8], ["SDXL", 9, 24], ["SDXL", 25, undefined]]) {
  test(`${family} in ${memory} GB is the preset of ${found} GB`, () => {
    assert.equal(presetOf(PRESETS, { subject: "person", family, memory })?.memory, found);
  });
}

for (const [name, value, changed] of [
  ["rank", 16, ["rank"]],
  ["learning_rate", 1.00000000001e-4, []],
  ["learning_rate", 1.1e-4, ["learning_rate"]],
  ["flip", true, ["flip"]],
  ["rank", undefined, ["rank"]],
]) {
  test(`${name} of ${value} ${changed.length ? "is" : "is not"} a change`, () => {
    const values = { ...PRESETS[0].fields, [name]: value };
    assert.deepEqual(changedSince(PRESETS[0], (widget) => values[widget]), changed);
  });
}

test("settings are listed as people read them", () => {
  const plain = { widget: (name) => name, reason: (text) => text, on: "on", off: "off" };
  assert.equal(listed(PRESETS[0].fields, plain), "rank 8, learning_rate 0.0001, flip off");
  assert.equal(explained(PRESETS[0], plain), "rank 8: enough");
  const chinese = { widget: (name) => ({ rank: "秩" })[name] ?? name, reason: () => "足够", on: "开", off: "关" };
  assert.equal(listed({ rank: 8, flip: true }, chinese), "秩 8, flip 开");
  assert.equal(explained(PRESETS[0], chinese), "秩 8: 足够");
});
