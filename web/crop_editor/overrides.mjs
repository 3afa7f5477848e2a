/**
 * The `overrides` of Smart Crop as text: lines or JSON, as trainer_core/crop/overrides.py reads them.
 *
 * @typedef {import("./windows.mjs").Window} Window
 * @typedef {{box: Window} | {place: readonly [number, number]}} Wish
 */

const SIDES = /** @type {Record<string, readonly [number, number]>} */ ({
  center: [0.5, 0.5], centre: [0.5, 0.5], left: [0, 0.5], right: [1, 0.5], top: [0.5, 0], bottom: [0.5, 1],
});
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** @param {string} text of the widget @returns {Map<string, string>} by key: "40, 0, 552, 512", "0.5, 0.3" or "left"
 * @throws {SyntaxError} it cannot be read */
export function readOverrides(text) {
  const trimmed = text.trim();
  if (trimmed.startsWith("{")) return new Map(Object.entries(JSON.parse(trimmed)).map(ofJson));
  return new Map(trimmed.split(/\r\n|[\n\r]/).filter((line) => line.trim() !== "").map(ofLine));
}

/** @param {ReadonlyMap<string, string>} overrides @returns {string} lines; JSON where a name would not fit on one */
export function writeOverrides(overrides) {
  const entries = [...overrides];
  if (entries.every(([key]) => isPlain(key))) return entries.map(([key, value]) => `${key}: ${value}`).join("\n");
  return JSON.stringify(Object.fromEntries(entries.map(([key, value]) => [key, toJson(value)])));
}

/** @param {string} value of an entry @returns {Wish} @throws {SyntaxError} it is none */
export function wishOf(value) {
  const side = SIDES[value.trim().toLowerCase()];
  if (side !== undefined) return { place: side };
  const numbers = numbersIn(value);
  if (numbers?.length === 2 && numbers.every((share) => share >= 0 && share <= 1)) {
    return { place: [numbers[0], numbers[1]] };
  }
  if (numbers?.length === 4 && numbers[2] > numbers[0] && numbers[3] > numbers[1]) {
    const [left, top, right, bottom] = numbers.map(Math.round);
    return { box: [left, top, right, bottom] };
  }
  throw new SyntaxError(`no window: ${value}`);
}

/** @param {Window} window */
export function valueOf(window) {
  return window.join(", ");
}

/** What holds for each picture, by the picture's own key, and below it what fits none of them. A key is a file's name or
 * the end of its path; the longest one that fits wins.
 * @param {ReadonlyMap<string, string>} overrides @param {readonly {key: string, path: string}[]} pictures
 * @returns {Map<string, string>} */
export function byPicture(overrides, pictures) {
  const endings = new Map([...overrides.keys()].map((key) => [endingOf(key), key]));
  const used = new Set();
  const found = new Map();
  for (const { key, path } of pictures) {
    const fitting = endingsOf(path).filter((ending) => endings.has(ending)).map((ending) => endings.get(ending));
    fitting.forEach((one) => used.add(one));
    if (fitting.length > 0) found.set(key, overrides.get(fitting[0]));
  }
  const lost = [...overrides].filter(([key]) => !used.has(key));
  return new Map([...found, ...lost]);
}

/** Longest first. */
function endingsOf(path) {
  const parts = path.split("/");
  return parts.map((_, start) => parts.slice(start).join("/"));
}

function endingOf(key) {
  return key.replaceAll("\\", "/").split("/").filter((part, place) => part !== "." && (part !== "" || place === 0))
    .join("/");
}

function ofLine(line) {
  for (const sign of [":", "="]) {
    const at = line.lastIndexOf(sign);
    if (at > 0 && line.slice(0, at).trim() !== "") return checked(line.slice(0, at).trim(), line.slice(at + 1).trim());
  }
  throw new SyntaxError(`no override: ${line}`);
}

function ofJson([key, value]) {
  return checked(key, Array.isArray(value) ? value.join(", ") : String(value));
}

/** @returns {[string, string]} */
function checked(key, value) {
  wishOf(value);
  return [key, value];
}

function toJson(value) {
  return numbersIn(value) ?? value;
}

/** @returns {number[] | null} null where it is a word */
function numbersIn(value) {
  const pieces = value.replaceAll(",", " ").replace(/^[ [\]()]+|[ [\]()]+$/g, "").split(/\s+/);
  return pieces.every((piece) => NUMBER.test(piece)) ? pieces.map(Number) : null;
}

/** Whether a name can stand on a line of its own and comes back from it. */
function isPlain(key) {
  return key === key.trim() && !/[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/.test(key) && !key.startsWith("{");
}
