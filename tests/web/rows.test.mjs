import assert from "node:assert/strict";
import test from "node:test";

import { translated } from "../../web/words/rows.mjs";

/** Counts the patterns that are made while `act` runs. */
async function patternsMadeBy(act) {
  let count = 0;
  const plain = globalThis.RegExp;
  globalThis.RegExp = new Proxy(plain, {
    construct(target, values) {
      count += 1;
      return Reflect.construct(target, values);
    },
  });
  try {
    await act();
  } finally {
    globalThis.RegExp = plain;
  }
  return count;
}

test("a page in English makes no pattern of any row, one in Chinese as far as it looks, and each once", async () => {
  const phrases = import.meta.resolve("../../web/words/phrases.mjs");
  assert.equal(await patternsMadeBy(async () => (await import(phrases)).phrase("cut short", "en")), 0);
  const { phrase } = await import(phrases);
  assert.ok((await patternsMadeBy(() => assert.equal(phrase("cut short", "zh"), "不完整"))) > 0);
  assert.equal(await patternsMadeBy(() => phrase("cut short", "zh-TW")), 0);
});

test("the first row that fits counts, and what stands in its places is given over", () => {
  const rows = /** @type {const} */ ([["{count} files", "{count} 个文件", "{count} 個檔案"], ["{any}", "全", "全"]]);
  const told = (/** @type {string} */ text, /** @type {"zh" | "zh-TW"} */ language) =>
    translated(rows, text, language, (name, value) => `${name}=${value}`);
  assert.equal(told("3 files", "zh"), "count=3 个文件");
  assert.equal(told("3 files", "zh-TW"), "count=3 個檔案");
  assert.equal(told("a (file)", "zh"), "全");
  assert.equal(translated(rows.slice(0, 1), "3 (files)", "zh", (_, value) => value), undefined);
});
