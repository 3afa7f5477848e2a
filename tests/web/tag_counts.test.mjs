import assert from "node:assert/strict";
import { test } from "node:test";

import { countTags, groupTags, isCommon, suggestTags } from "../../web/tag_editor/tag_counts.mjs";

const PICTURES = [new Set(["hat", "long hair"]), new Set(["hat", "cap"]), new Set(["hat", "long hair", "white hat"])];
const KINDS = new Map([["long hair", "hair"], ["hat", "clothes"], ["cap", "clothes"], ["white hat", "clothes"]]);
const COUNTS = countTags(PICTURES, KINDS);
const names = (/** @type {any[]} */ counts) => counts.map(({ tag }) => tag);

test("tags are counted once a picture", () => {
  assert.deepEqual(Object.fromEntries(COUNTS.map(({ tag, count }) => [tag, count])),
    { hat: 3, "long hair": 2, cap: 1, "white hat": 1 });
});

test("a tag of no known kind is another", () => {
  assert.equal(countTags([new Set(["x"])], new Map())[0].kind, "other");
});

test("groups come in the order of kinds, and the commonest tags first", () => {
  const groups = groupTags(COUNTS, "count", "");
  assert.deepEqual(groups.map(({ kind, tags }) => [kind, names(tags)]),
    [["hair", ["long hair"]], ["clothes", ["hat", "cap", "white hat"]]]);
});

test("by name", () => assert.deepEqual(names(groupTags(COUNTS, "name", "")[1].tags), ["cap", "hat", "white hat"]));

test("the filter keeps tags that contain it", () => {
  const found = groupTags(COUNTS, "count", "ha").flatMap(({ tags }) => names(tags));
  assert.deepEqual(found, ["long hair", "hat", "white hat"]);
});

test("kinds that are new come last", () => {
  const counts = [{ tag: "x", count: 1, kind: "metadata" }, { tag: "y", count: 1, kind: "other" }];
  assert.deepEqual(groupTags(counts, "count", "").map(({ kind }) => kind), ["other", "metadata"]);
});

for (const [count, total, is] of [[9, 10, true], [89, 100, false], [90, 100, true], [0, 0, false]]) {
  test(`${count} of ${total} is ${is ? "" : "not "}nearly every picture`, () => {
    assert.equal(isCommon(count, total), is);
  });
}

test("suggestions begin with what is typed, then hold a word that does; the commonest first", () => {
  assert.deepEqual(names(suggestTags(COUNTS, "ha", 8)), ["hat", "long hair", "white hat"]);
  assert.deepEqual(names(suggestTags(COUNTS, "ha", 1)), ["hat"]);
  const rarer = [{ tag: "long hair", count: 9, kind: "hair" }, { tag: "hairpin", count: 1, kind: "clothes" }];
  assert.deepEqual(names(suggestTags(rarer, "hair", 8)), ["hairpin", "long hair"]);
  assert.deepEqual(suggestTags(COUNTS, "", 8), []);
  assert.deepEqual(names(suggestTags(COUNTS, "hat", 8)), ["white hat"]);
});
