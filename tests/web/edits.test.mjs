import assert from "node:assert/strict";
import { test } from "node:test";

import { applyToAll } from "../../web/tag_editor/captions.mjs";
import {
  addTags, captionOf, readEdits, removeTags, replaceTag, setText, writeEdits,
} from "../../web/tag_editor/edits.mjs";

test("adding keeps the caption and puts the tag at the end", () => {
  assert.deepEqual(addTags("1girl, hat", undefined, ["cat"]), { add: ["cat"] });
});

test("adding what is there is no edit", () => {
  assert.equal(addTags("1girl, Red_Hat", undefined, ["red hat"]), undefined);
});

test("removing keeps no more than the tag", () => {
  assert.deepEqual(removeTags("1girl, hat", undefined, ["hat"]), { remove: ["hat"] });
});

test("removing what is not there is no edit", () => assert.equal(removeTags("1girl", undefined, ["hat"]), undefined));

test("removing a tag that was added takes the addition back", () => {
  assert.equal(removeTags("1girl", { add: ["hat"] }, ["hat"]), undefined);
  assert.deepEqual(removeTags("1girl", { add: ["hat", "cat"] }, ["hat"]), { add: ["cat"] });
});

test("adding a tag that was removed puts it back where it was", () => {
  assert.equal(addTags("1girl, hat, cat", { remove: ["hat"] }, ["hat"]), undefined);
});

test("replacing twice is one replacement", () => {
  const once = replaceTag("1girl, hat", undefined, "hat", "cap");
  assert.deepEqual(replaceTag("1girl, hat", once, "cap", "beret"), { replace: { hat: "beret" } });
});

test("replacing there and back is no edit", () => {
  const once = replaceTag("1girl, hat", undefined, "hat", "cap");
  assert.equal(replaceTag("1girl, hat", once, "cap", "hat"), undefined);
});

test("replacing an added tag adds the other one", () => {
  assert.deepEqual(replaceTag("1girl", { add: ["hat"] }, "hat", "cap"), { add: ["cap"] });
});

test("replacing by nothing removes", () => {
  assert.equal(captionOf("1girl, hat", replaceTag("1girl, hat", undefined, "hat", "")), "1girl");
});

test("the automatic caption as text is no edit", () => assert.equal(setText("a, b", " a ,b"), undefined));

test("text stays text", () => assert.deepEqual(setText("a, b", "a cat"), { text: "a cat" }));

test("every edit does the same to all captions of a picture", () => {
  const edit = addTags("a, b\nb, c", removeTags("a, b\nb, c", undefined, ["b"]), ["x"]);
  assert.equal(captionOf("a, b\nb, c", edit), "a, x\nc, x");
});

test("edits come back as they were written", () => {
  const edits = new Map([["b.png", { text: "x" }], ["a.png", { add: ["y"], remove: ["z"], replace: { p: "q" } }]]);
  assert.deepEqual(readEdits(writeEdits(edits)), edits);
});

test("the same edits are the same text, in whatever order they were made", () => {
  const pairs = [["b.png", { text: "x" }], ["a.png", { add: ["y"] }]];
  assert.equal(writeEdits(new Map(pairs)), writeEdits(new Map([...pairs].reverse())));
});

test("no edits are an empty text", () => assert.equal(writeEdits(new Map()), ""));

for (const text of ["{", "[]", "7", '{"version":2,"pictures":{}}', '{"version":1,"pictures":[]}',
  '{"version":1,"pictures":{"a":{"add":"x"}}}', '{"version":1,"pictures":{"a":{"remove":[1]}}}',
  '{"version":1,"pictures":{"a":{"replace":["x"]}}}', '{"version":1,"pictures":{"a":{"text":1}}}',
  '{"version":1,"pictures":{"a":null}}']) {
  test(`${text} is refused`, () => assert.throws(() => readEdits(text), SyntaxError));
}

test("any sequence of edits leaves the caption that the steps one by one would", () => {
  const random = mulberry(7);
  const tags = ["a", "b", "B", "c", "d_e", "d e", "A cat sits on a mat.", "x, y"];
  const one = () => tags[Math.floor(random() * tags.length)];
  for (let round = 0; round < 400; round++) {
    const automatic = Array.from({ length: 4 }, one).join(", ");
    let edit;
    let expected = captionOf(automatic, undefined);
    for (let step = 0; step < 6; step++) {
      const [first, second] = [one(), one()];
      const steps = [{ add: [first] }, { remove: [first] }, { replace: { [first]: second } }];
      const step = steps[Math.floor(random() * steps.length)];
      edit = change(automatic, edit, step);
      expected = step.add ? captionOf(automatic, edit) : applyToAll(expected, step);
      // A tag comes back to its old place; a full stop goes where a tag is added after it.
      if (step.add && !first.endsWith(".")) assert.equal(applyToAll(expected, step), expected, `${first} is there`);
      assert.equal(captionOf(automatic, edit), expected);
    }
  }
});

function change(automatic, edit, { add, remove, replace }) {
  if (add) return addTags(automatic, edit, add);
  if (remove) return removeTags(automatic, edit, remove);
  const [[old, replacement]] = Object.entries(replace);
  return replaceTag(automatic, edit, old, replacement);
}

function mulberry(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
