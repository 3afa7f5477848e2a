import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { choose, fill } from "../../web/words/choosing.mjs";
import { en } from "../../web/words/en.mjs";
import { zhTW } from "../../web/words/zh-TW.mjs";
import { zh } from "../../web/words/zh.mjs";

const WEB = new URL("../../web/", import.meta.url);
const MODULES = readdirSync(WEB, { recursive: true }).filter((name) => /\.m?js$/.test(name));
const SOURCE = MODULES.map((name) => readFileSync(new URL(name, WEB), "utf-8")).join("\n");

const withoutOne = (/** @type {object} */ words) => Object.keys(words).filter((key) => !key.endsWith(".one")).sort();
const places = (/** @type {string} */ sentence) => [...sentence.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

for (const [name, words] of Object.entries({ zh, zhTW })) {
  test(`${name} says all that English says`, () => assert.deepEqual(withoutOne(words), withoutOne(en)));

  test(`${name} fills in what English fills in`, () => {
    for (const key of withoutOne(en)) assert.deepEqual(places(words[key]), places(en[key]), key);
  });
}

test("every sentence that is asked for is there", () => {
  for (const [, key] of SOURCE.matchAll(/\bsay\(\s*"([^"]+)"/g)) assert.ok(key in en, key);
});

test("every sentence is asked for", () => {
  const begun = [...SOURCE.matchAll(/`(\w+\.)\$\{/g)].map(([, start]) => start);
  const isSaid = (key) => SOURCE.includes(`"${key}"`) || begun.some((start) => key.startsWith(start));
  assert.deepEqual(withoutOne(en).filter((key) => !isSaid(key)), []);
});

for (const [locale, language] of [
  ["en", "en"], ["zh", "zh"], ["zh-CN", "zh"], ["zh-TW", "zh-TW"], ["zh-Hant-HK", "zh-TW"], ["ja", "en"], ["fr", "en"],
]) {
  test(`${locale} reads ${language}`, () => assert.equal(choose(locale).language, language));
}

for (const [language, words, count, sentence] of [
  ["en", en, 0, "0 pictures edited by hand"],
  ["en", en, 1, "1 picture edited by hand"],
  ["en", en, 1200, "1,200 pictures edited by hand"],
  ["zh", zh, 1, "手动修改了 1 张图片"],
]) {
  test(`${count} in ${language}`, () => assert.equal(fill(words, language, "node.edited", { count }), sentence));
}

test("what is filled in is never read as a place itself", () => {
  assert.equal(fill(en, "en", "tagger.missing", { name: "{name} $& {x}" }), "{name} $& {x} is not on this computer.");
});
