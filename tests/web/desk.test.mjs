import assert from "node:assert/strict";
import { test } from "node:test";

import { Desk } from "../../web/tag_editor/desk.mjs";
import { select } from "../../web/tag_editor/selection.mjs";

const CAPTIONS = ["1girl, hat, smile", "1girl, hat", "1girl, Long_Hair", "1girl, hat"];
const NO_THRESHOLDS = { general: null, character: null };

/** Pictures 0 to 3; the last one is for regularisation. */
function makeDesk(edits = {}) {
  const changes = [];
  const pictures = CAPTIONS.map((caption, number) => ({
    id: `${number}`, key: `${number}.png`, name: `${number}.png`, width: 64, height: 64, caption, source: "wd",
    is_regularisation: number === 3,
  }));
  const content = {
    model: "wd", trigger_words: ["mochi"], has_scores: true, threshold: 0.35, character_threshold: 0.85,
    pictures, kinds: { long_hair: "hair" }, advice: [], can_write_files: true,
  };
  const draft = { edits: new Map(Object.entries(edits)), thresholds: NO_THRESHOLDS };
  return { desk: new Desk(content, draft, (change) => changes.push(change)), changes };
}

const counts = (/** @type {any[]} */ entries) => Object.fromEntries(entries.map(({ tag, count }) => [tag, count]));

test("a query shows the pictures it finds, and counts are of those", () => {
  const { desk } = makeDesk();
  desk.search("hat and not smile");
  assert.deepEqual(desk.shown, ["1", "3"]);
  assert.deepEqual(counts(desk.counts), { "1girl": 2, hat: 2 });
});

test("a query that cannot be read leaves what is shown", () => {
  const { desk } = makeDesk();
  desk.search("smile");
  assert.throws(() => desk.search("(smile"));
  assert.deepEqual([desk.shown, desk.queryText], [["0"], "smile"]);
});

test("the trigger word is found on the pictures that get it", () => {
  const { desk } = makeDesk();
  desk.search("mochi");
  assert.deepEqual(desk.shown, ["0", "1", "2"]);
  assert.deepEqual(desk.trainedTags("1"), ["mochi", "1girl", "hat"]);
  assert.deepEqual(desk.trainedTags("3"), ["1girl", "hat"]);
});

test("an edit does not hide a picture until the query is asked again", () => {
  const { desk } = makeDesk();
  desk.search("hat");
  desk.remove(["1"], ["hat"]);
  assert.deepEqual([desk.shown, desk.outdatedCount], [["0", "1", "3"], 1]);
  desk.refresh();
  assert.deepEqual([desk.shown, desk.outdatedCount], [["0", "3"], 0]);
});

test("bulk changes apply to the selection, or to all that is shown", () => {
  const { desk } = makeDesk();
  desk.search("hat");
  assert.deepEqual(desk.targets, ["0", "1", "3"]);
  desk.select(select(desk.selection, desk.shown, "1", { range: false, toggle: false }));
  assert.deepEqual(desk.targets, ["1"]);
});

test("what a new query hides is selected no more", () => {
  const { desk } = makeDesk();
  desk.select(select(desk.selection, desk.shown, "2", { range: false, toggle: false }));
  desk.search("hat");
  assert.deepEqual(desk.targets, ["0", "1", "3"]);
});

test("one change of many pictures is one step back", () => {
  const { desk } = makeDesk();
  assert.equal(desk.remove(["0", "1", "2"], ["hat"]), 2);
  assert.equal(desk.editedCount, 2);
  desk.undo();
  assert.deepEqual([desk.editedCount, desk.history.canUndo], [0, false]);
  desk.redo();
  assert.equal(desk.caption("1").text, "1girl");
});

test("edits survive other automatic captions, and mean the same", () => {
  const { desk } = makeDesk();
  desk.remove(["0"], ["hat"]);
  desk.add(["0"], ["cat"]);
  desk.setAutomatic({ 0: "1girl, sky, hat" }, { sky: "background" });
  assert.equal(desk.caption("0").text, "1girl, sky, cat");
  assert.equal(desk.counts.find(({ tag }) => tag === "sky").kind, "background");
});

test("other automatic captions are searched again", () => {
  const { desk } = makeDesk();
  desk.search("smile");
  desk.setAutomatic({ 0: "1girl", 2: "smile" }, {});
  assert.deepEqual(desk.shown, ["2"]);
});

test("counts over the subject's pictures leave out regularisation and follow edits", () => {
  const { desk } = makeDesk();
  assert.equal(counts(desk.trainingCounts).hat, 2);
  desk.remove(["1"], ["hat"]);
  assert.equal(counts(desk.trainingCounts).hat, 1);
});

test("a tag's kind does not depend on its spelling", () => {
  const { desk } = makeDesk();
  assert.equal(desk.trainingCounts.find(({ tag }) => tag === "long hair").kind, "hair");
});

test("trigger words typed into a caption are not kept twice", () => {
  const { desk } = makeDesk();
  desk.write("1", "mochi, 1girl,\nhat, cat");
  assert.deepEqual(desk.history.values.get("1.png"), { text: "1girl, hat, cat" });
  desk.write("3", "mochi, 1girl");
  assert.equal(desk.caption("3").text, "mochi, 1girl");
});

test("what was added and what was removed can be told", () => {
  const { desk } = makeDesk({ "0.png": { text: "1girl, cat" } });
  assert.deepEqual(desk.difference("0"), { added: new Set(["cat"]), removed: ["hat", "smile"] });
});

test("going back to what was saved is a step like any other", () => {
  const { desk } = makeDesk({ "0.png": { add: ["cat"] } });
  desk.remove(["1"], ["hat"]);
  desk.restore({ edits: new Map(), thresholds: NO_THRESHOLDS });
  assert.equal(desk.editedCount, 0);
  desk.undo();
  assert.equal(desk.editedCount, 2);
});

test("captions that did not change are the same object, so that nothing is drawn for them", () => {
  const { desk } = makeDesk();
  const before = desk.caption("2");
  desk.remove(["0", "1"], ["hat"]);
  assert.equal(desk.caption("2"), before);
});

test("the page is told of changed captions, and of nothing where nothing changed", () => {
  const { desk, changes } = makeDesk();
  desk.remove(["2"], ["hat"]);
  desk.undo();
  assert.deepEqual(changes, []);
  desk.remove(["1"], ["hat"]);
  assert.deepEqual(changes, [{ captions: true }]);
});

test("an edit of all of a thousand pictures is quick", () => {
  const pictures = Array.from({ length: 1000 }, (_, number) => ({
    id: `${number}`, key: `${number}.png`, name: `${number}.png`, width: 64, height: 64, is_regularisation: false,
    caption: Array.from({ length: 30 }, (_, tag) => `tag ${(number * 7 + tag * 13) % 500}`).join(", "), source: "wd",
  }));
  const content = {
    model: "wd", trigger_words: [], has_scores: true, threshold: 0.35, character_threshold: 0.85, pictures,
    kinds: {}, advice: [], can_write_files: true,
  };
  const desk = new Desk(content, { edits: new Map(), thresholds: NO_THRESHOLDS }, () => {});
  const started = performance.now();
  desk.add(desk.shown, ["one more"]);
  assert.equal(counts(desk.counts)["one more"], 1000);
  assert.ok(performance.now() - started < 5000);
});
