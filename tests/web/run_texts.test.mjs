import assert from "node:assert/strict";
import { test } from "node:test";

import { duration, rateText, size, speed } from "../../web/runs/amounts.mjs";
import { arithmeticLines } from "../../web/runs/arithmetic.mjs";
import { verdictSentence } from "../../web/runs/verdict.mjs";
import { choose, fill } from "../../web/words/choosing.mjs";

const sayIn = (/** @type {string} */ locale) => {
  const { language, words } = choose(locale);
  return (/** @type {string} */ key, values = {}) => fill(words, language, key, values);
};
const told = (/** @type {any} */ { key, values }) => sayIn("en")(key, values);

for (const [seconds, text] of /** @type {[number, string][]} */ ([
  [0, "1 s"], [59.4, "59 s"], [59.6, "1 min"], [3569, "59 min"], [3571, "1 h 0 min"], [3900, "1 h 5 min"],
  [86_300, "23 h 58 min"], [86_400, "1 d 0 h"], [183_600, "2 d 3 h"],
])) {
  test(`${seconds} seconds read ${text}`, () => assert.equal(told(duration(seconds)), text));
}

for (const [seconds, text] of /** @type {[number, string][]} */ ([
  [0.05, "20 steps/s"], [0.4, "2.5 steps/s"], [1, "1 s/step"], [2.34, "2.3 s/step"], [12.6, "13 s/step"],
])) {
  test(`${seconds} seconds a step read ${text}`, () => assert.equal(told(speed(seconds)), text));
}

for (const [megabytes, text] of /** @type {[number, string][]} */ ([
  [3.14, "3.1 MB"], [36.1, "36 MB"], [9318, "9.1 GB"],
])) {
  test(`${megabytes} MB read ${text}`, () => assert.equal(size(megabytes), text));
}

for (const [rate, text] of /** @type {[number, string][]} */ ([
  [1e-4, "1e-4"], [2.5e-5, "2.5e-5"], [0.5, "0.5"], [0, "0"], [0.00999, "1e-2"], [9.96e-5, "1e-4"],
])) {
  test(`a rate of ${rate} reads ${text}`, () => assert.equal(rateText(rate), text));
}

const SIZE = {
  pictures: 20, repeats: [10], samples: 200, regularised: false, epochs: 10, batch_size: 2, accumulation: 1,
  steps: 1000, counts_steps: false, saves: 5, bytes_each: 36 * 2 ** 20,
};
const lines = (/** @type {object} */ more, /** @type {any} */ { seconds = null, held_out = 0, locale = "en" } = {}) =>
  arithmeticLines({ size: { ...SIZE, ...more }, held_out, seconds }, sayIn(locale));

test("the arithmetic of a run that counts epochs", () => {
  assert.deepEqual(lines({}, { seconds: 3900, held_out: 2 }), [
    "20 pictures × 10 repeats × 10 epochs ÷ batch 2 = 1,000 steps",
    "5 saves of 36 MB · about 1 h 5 min · 2 pictures held out",
  ]);
});

test("the arithmetic of a run that counts steps", () => {
  const [first] = lines({ counts_steps: true, steps: 1, epochs: 1, batch_size: 1 });
  assert.equal(first, "20 pictures × 10 repeats: 1 step in 1 epoch");
});

test("a batch is what a step sees, over all that it accumulates", () => {
  assert.match(lines({ batch_size: 2, accumulation: 4 })[0], /÷ batch 8 =/);
});

test("repeats that differ, and regularisation pictures, are told", () => {
  const [first] = lines({ repeats: [1, 5, 10], regularised: true });
  const pictures = "20 pictures × 1–10 repeats × 2 (as many regularisation pictures)";
  assert.equal(first, `${pictures} × 10 epochs ÷ batch 2 = 1,000 steps`);
});

test("without a base model and an earlier run only the number of saves is known", () => {
  assert.equal(lines({ bytes_each: null })[1], "5 saves");
});

test("what rank and alpha make of the LoRA's strength is told where it has a scale", () => {
  assert.equal(lines({ scale: 1 / 3 })[1], "5 saves of 36 MB · scale 0.333");
  assert.equal(lines({ scale: null })[1], "5 saves of 36 MB");
});

test("the arithmetic in Chinese", () => {
  assert.equal(lines({}, { locale: "zh" })[0], "20 张图片 × 重复 10 次 × 10 轮 ÷ 批大小 2 = 1,000 步");
});

const inLanguage = (/** @type {string} */ locale, /** @type {any} */ sentence) => {
  const { language, words } = choose(locale);
  return verdictSentence({ values: {}, changes: [], text: "English.", ...sentence }, language, words, sayIn(locale));
};

test("a verdict in English is the server's own text", () => {
  assert.equal(inLanguage("en", { key: "use", values: { best: "4" } }), "English.");
});

test("a verdict in Chinese has the same values, its changes as a choice", () => {
  assert.equal(inLanguage("zh", { key: "use", values: { best: "4" } }), "请用第 4 轮，它的验证损失最低。");
  const changes = [{ field: "UNet rate", now: "1e-4", then: "5e-5" }, { field: "rank", now: "32", then: "16" }];
  assert.match(inLanguage("zh", { key: "change", changes }), /：UNet 学习率 1e-4 → 5e-5或秩 \(rank\) 32 → 16。$/);
});

test("numbers of pictures and lists that the server says in English are translated", () => {
  assert.match(inLanguage("zh-TW", { key: "more pictures", values: { pictures: "9 pictures" } }), /^只有 9 張圖片，/);
  const values = { names: "a.png, b.png and 3 more" };
  assert.match(inLanguage("zh", { key: "odd, several", values }), /a\.png, b\.png 等，另有 3 张。/);
});

test("a sentence of a later version stays English", () => {
  assert.equal(inLanguage("zh", { key: "not yet known" }), "English.");
});
