/** Texts of the server in other languages, found by their English with places in it. */

/** @typedef {readonly [string, string, string]} Row English, Simplified and Traditional Chinese; {places} as filled in */
/** @typedef {{pattern: RegExp, zh: string, "zh-TW": string}} Known */

/** @param {ReadonlyArray<Row>} rows @returns {Known[]} */
export function known(rows) {
  return rows.map(([english, zh, zhTW]) => ({ pattern: patternOf(english), zh, "zh-TW": zhTW }));
}

/** The first row that fits a text, in a language.
 * @param {Known[]} rows @param {string} text @param {"zh" | "zh-TW"} language
 * @param {(name: string, value: string) => string} inPlace what stands in a place, in the language
 * @returns {string | undefined} undefined where none fits */
export function translated(rows, text, language, inPlace) {
  for (const row of rows) {
    const match = row.pattern.exec(text);
    if (match) return row[language].replace(/\{(\w+)\}/g, (_, name) => inPlace(name, match.groups[name]));
  }
  return undefined;
}

/** @param {string} text @returns {string[]} */
export function sentencesOf(text) {
  return text.split(/(?<=[.!?]) (?=[A-Z0-9])/);
}

function patternOf(/** @type {string} */ english) {
  const parts = english.split(/\{(\w+)\}/);
  const written = parts.map((part, index) =>
    index % 2 ? `(?<${part}>.+?)` : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"),
  );
  return new RegExp(`^${written.join("")}$`, "s");
}
