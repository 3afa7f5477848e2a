import { en } from "./en.mjs";
import { zhTW } from "./zh-TW.mjs";
import { zh } from "./zh.mjs";

/** @typedef {Readonly<Record<string, string>>} Words */

/** @param {string} locale @returns {{language: string, words: Words}} English for languages that are not here */
export function choose(locale) {
  if (/^zh-(TW|HK|MO|Hant)/i.test(locale)) return { language: "zh-TW", words: zhTW };
  if (/^zh/i.test(locale)) return { language: "zh", words: zh };
  return { language: "en", words: en };
}

/** The sentence of `key`, or of `key.one` where the language has it and `count` is one.
 * @param {Words} words @param {string} language @param {string} key @param {Record<string, string | number>} values */
export function fill(words, language, key, values) {
  const isOne = typeof values.count === "number" && new Intl.PluralRules(language).select(values.count) === "one";
  const sentence = (isOne ? words[`${key}.one`] : undefined) ?? words[key];
  return sentence.replace(/\{(\w+)\}/g, (_, name) => shown(values[name], language));
}

function shown(value, language) {
  return typeof value === "number" ? value.toLocaleString(language) : value;
}
