/**
 * Findings of the health report, as the server sends them, in the language of the page. Their English is the server's.
 *
 * @typedef {object} NamedFile
 * @property {string} name
 * @property {string} label What was found about it, a few words.
 * @property {string | null} picture Its number on the board; null for a file that is not trained.
 *
 * @typedef {object} Finding
 * @property {string} kind
 * @property {string} case Which sentence of its kind it is; empty where there is one.
 * @property {"stop" | "warn" | "note"} level
 * @property {string} text
 * @property {string} advice
 * @property {Record<string, string | number>} values
 * @property {NamedFile[]} files
 * @property {number} more_files Further ones, which are not listed.
 *
 * @typedef {{sentences: Record<string, string>, advice: Record<string, string>}} FindingWords
 */

import { choose, fill } from "../words/choosing.mjs";
import { zhTW } from "../words/findings_zh-TW.mjs";
import { zh } from "../words/findings_zh.mjs";
import { phrase } from "../words/phrases.mjs";

const PHRASES = new Set(["reason", "note", "remark"]);
const WORDS = /** @type {Record<string, FindingWords>} */ ({ zh, "zh-TW": zhTW });

/** @param {Finding} finding @param {string} locale @returns {{text: string, advice: string}} English where a language
 * does not have the sentence */
export function worded(finding, locale) {
  const { language } = choose(locale);
  const words = WORDS[language];
  const key = finding.case === "" ? finding.kind : `${finding.kind}/${finding.case}`;
  const values = inWords(finding.values, locale);
  const put = (/** @type {Record<string, string>} */ table, /** @type {string} */ name) =>
    fill(table, language, name, values);
  if (!words || !(key in words.sentences)) return { text: finding.text, advice: finding.advice };
  const [advice] = [key, finding.advice].filter((name) => name in words.advice);
  return {
    text: put(words.sentences, key),
    advice: advice === undefined ? finding.advice : put(words.advice, advice),
  };
}

/** Values of a sentence; those that are phrases themselves in the language of the locale.
 * @param {Record<string, string | number>} values @param {string} locale */
function inWords(values, locale) {
  const entries = Object.entries(values).map(([name, value]) => [
    name,
    PHRASES.has(name) && typeof value === "string" ? phrase(value, locale) : value,
  ]);
  return Object.fromEntries(entries);
}
