/** Texts of the server in other languages, found by their English with places in it. */

/** @typedef {readonly [string, string, string]} Row English, Simplified and Traditional Chinese; {places} as filled in */

/** What finds a row. Made as it is tried for the first time: pages in English try none.
 * @type {WeakMap<Row, RegExp>} */
const patterns = new WeakMap();

/** The first row that fits a text, in a language.
 * @param {ReadonlyArray<Row>} rows @param {string} text @param {"zh" | "zh-TW"} language
 * @param {(name: string, value: string) => string} inPlace what stands in a place, in the language
 * @returns {string | undefined} undefined where none fits */
export function translated(rows, text, language, inPlace) {
  for (const row of rows) {
    const match = patternOf(row).exec(text);
    const [, zh, zhTW] = row;
    const sentence = language === "zh" ? zh : zhTW;
    if (match) return sentence.replace(/\{(\w+)\}/g, (_, name) => inPlace(name, match.groups[name]));
  }
  return undefined;
}

/** @param {string} text @returns {string[]} */
export function sentencesOf(text) {
  return text.split(/(?<=[.!?]) (?=[A-Z0-9])/);
}

function patternOf(/** @type {Row} */ row) {
  if (!patterns.has(row)) patterns.set(row, compiled(row[0]));
  return patterns.get(row);
}

function compiled(/** @type {string} */ english) {
  const parts = english.split(/\{(\w+)\}/);
  const written = parts.map((part, index) =>
    index % 2 ? `(?<${part}>.+?)` : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"),
  );
  return new RegExp(`^${written.join("")}$`, "s");
}
