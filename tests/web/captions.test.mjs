import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { applyEdit, applyToAll, leadWith, plainTag } from "../../web/tag_editor/captions.mjs";

const cases = JSON.parse(readFileSync(new URL("../caption_edit_cases.json", import.meta.url), "utf-8"));

for (const { why, caption, edit, result } of cases) {
  test(`as in Python: ${why}`, () => assert.equal(applyEdit(caption, edit), result));
}

test("there are cases to hold both languages to", () => assert.ok(cases.length >= 40));

test("a text stands for the first of several captions, and other edits reach all", () => {
  assert.equal(applyToAll("a, b\nb, c", { text: "x, b", remove: ["b"], add: ["y"] }), "x, y\nc, y");
});

for (const [caption, triggers, result] of [
  ["1girl, hat", ["mochi"], "mochi, 1girl, hat"],
  ["1girl, Mochi, hat", ["mochi"], "mochi, 1girl, hat"],
  ["", ["mochi"], "mochi"],
  ["1girl", ["a", "b"], "a, b, 1girl"],
  ["mochi sits on a red mat", ["mochi"], "mochi sits on a red mat"],
  ["a photo of mochi on a mat", ["mochi"], "a photo of mochi on a mat"],
  ["a mochi", ["mochi"], "mochi, a mochi"],
  ["mochitsuki, hat", ["mochi"], "mochi, mochitsuki, hat"],
  ["1girl", [], "1girl"],
]) {
  test(`the trigger words ${triggers} lead "${caption}"`, () => assert.equal(leadWith(caption, triggers), result));
}

for (const [tag, plain] of [["Long_Hair", "long hair"], ["saber \\(fate\\)", "saber (fate)"], ["STRASSE", "strasse"],
  ["Straße", "strasse"], ["ΣΊΣΥΦΟΣ", "σίσυφοσ"], ["  a   b ", "a b"]]) {
  test(`${tag} compares as ${plain}`, () => assert.equal(plainTag(tag), plain));
}
