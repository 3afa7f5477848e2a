import assert from "node:assert/strict";
import { test } from "node:test";

import { worded } from "../../web/health_card/findings.mjs";
import { zhTW } from "../../web/words/findings_zh-TW.mjs";
import { zh } from "../../web/words/findings_zh.mjs";

const BLURRED = {
  kind: "blurred", case: "", level: "warn", text: "2 pictures are blurred: a.png, b.png",
  advice: "Use sharper copies, or leave such pictures out: the LoRA learns the blur", values: { count: 2 }, files: [],
  more_files: 0,
};
const placesIn = (sentence) => [...sentence.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

test("English is what the server says", () => {
  assert.deepEqual(worded(BLURRED, "en"), { text: BLURRED.text, advice: BLURRED.advice });
});

test("a finding is told in Chinese, with what to do", () => {
  const { text, advice } = worded({ ...BLURRED, values: { count: 1200 } }, "zh");
  assert.equal(text, "1,200 张图片模糊");
  assert.match(advice, /清晰/);
  assert.match(worded(BLURRED, "zh-TW").advice, /清晰的版本/);
});

test("a kind with several sentences is told by its case", () => {
  const few = { ...BLURRED, kind: "few pictures", case: "too few", values: { count: 3 } };
  assert.equal(worded(few, "zh").text, "只有 3 张训练图片，不足以把主体与周围区分开");
});

test("advice that names something is filled in", () => {
  const values = { folders: "a 100, b 3", folder: "b", repeats: 30 };
  const folders = { ...BLURRED, kind: "folder balance", advice: "If all matter alike, give b about 30 repeats", values };
  assert.equal(worded(folders, "zh").advice, "如果同样重要，把 b 的重复次数设为约 30");
});

test("what is not known stays English", () => {
  const odd = { ...BLURRED, kind: "odd" };
  assert.deepEqual(worded(odd, "zh"), { text: odd.text, advice: odd.advice });
  assert.equal(worded({ ...BLURRED, advice: "Do something new" }, "zh").advice, "Do something new");
});

for (const table of /** @type {const} */ (["sentences", "advice"])) {
  test(`both Chinese have the same ${table} with the same places`, () => {
    assert.deepEqual(Object.keys(zhTW[table]), Object.keys(zh[table]));
    for (const [key, sentence] of Object.entries(zh[table])) {
      assert.deepEqual(placesIn(zhTW[table][key]), placesIn(sentence), key);
    }
  });
}
