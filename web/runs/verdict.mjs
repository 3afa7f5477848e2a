/**
 * A verdict's sentences in the page's language.
 *
 * @typedef {{field: string, now: string, then: string}} Change
 * @typedef {{key: string, values: Record<string, string>, changes: Change[], text: string}} Sentence
 *   `text` is the sentence in English
 * @typedef {{kind: "underfit" | "good" | "overfit" | "not measured", since_epoch: number | null,
 *   best_epoch: number | null, sentences: Sentence[]}} Verdict
 */

/** "12 pictures", which a server says in English. */
const COUNTED = /^([\d,.]+) pictures?$/;
/** "a.png, b.png and 3 more" */
const AND_MORE = /^(.*) and ([\d,]+) more$/;

/** @typedef {import("../words/choosing.mjs").Words} Words */

/** A sentence of a later version, which the page has no words for, stays English.
 * @param {Sentence} sentence @param {string} language
 * @param {Words} words @param {(key: string, values: Record<string, string>) => string} say
 * @returns {string} */
export function verdictSentence({ key, values, changes, text }, language, words, say) {
  if (language === "en" || !(`verdict.${key}` in words)) return text;
  const told = changes.map(({ field, now, then }) => {
    const name = `field.${field}` in words ? say(`field.${field}`, {}) : field;
    return `${name} ${now} → ${then}`;
  });
  const list = new Intl.ListFormat(language, { type: "disjunction" }).format(told);
  return say(`verdict.${key}`, { ...translated(values, say), changes: list });
}

function translated(values, say) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, inWords(String(value), say)]));
}

function inWords(value, say) {
  const [, count] = COUNTED.exec(value) ?? [];
  if (count) return say("told.pictures", { pictures: count });
  const [, names, more] = AND_MORE.exec(value) ?? [];
  return names ? say("told.andMore", { names, more }) : value;
}
