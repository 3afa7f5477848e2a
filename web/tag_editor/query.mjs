/**
 * The search box: `hat and not (smile or "looking at viewer")`.
 *
 *     expression = conjunction ("or" conjunction)*
 *     conjunction = negation (["and"] negation)*
 *     negation = "not" negation | "(" expression ")" | term
 *
 * A bare word finds tags that contain it as a whole word, in quotes it is the whole tag, and * stands for anything.
 * `is:edited`, `is:empty` and `file:*.png` ask about the picture.
 *
 * @typedef {object} Subject What a query is asked about.
 * @property {ReadonlySet<string>} tags In plain form.
 * @property {string} name The picture's file name.
 * @property {boolean} isEdited
 *
 * @typedef {(subject: Subject) => boolean} Query
 */

import { escapeForPattern, plainTag } from "./captions.mjs";

const TOKEN = /\s*(?:"((?:[^"\\]|\\.)*)("?)|([()])|([^\s()"]+))/uy;
const LATIN = "\\p{Script=Latin}\\p{N}";

/** What is wrong with a query: `key` names the sentence that says so. */
export class QueryError extends Error {
  /** @param {"query.unclosedQuote" | "query.unclosedBracket" | "query.strayBracket" | "query.missingTerm" |
   * "query.unknownQuestion"} key @param {string} at the part of the query that it is about */
  constructor(key, at) {
    super(key);
    this.key = key;
    this.at = at;
  }
}

/** @param {string} text @returns {Query} an empty text finds every picture
 * @throws {QueryError} */
export function parseQuery(text) {
  const tokens = tokenise(text);
  if (tokens.length === 0) return () => true;
  const reader = new Reader(tokens);
  const query = readExpression(reader);
  if (reader.next) throw new QueryError("query.strayBracket", reader.next.text);
  return query;
}

/** The query with one more condition, or without it if it is there already. The opposite condition goes; a query that
 * cannot be read is given up.
 * @param {string} text @param {string} tag @param {boolean} isExcluded */
export function withTag(text, tag, isExcluded) {
  const wanted = conditionFor(tag, isExcluded);
  const opposite = conditionFor(tag, !isExcluded);
  const conditions = conditionsOf(text);
  const others = conditions.filter((condition) => condition !== wanted && condition !== opposite);
  return (conditions.includes(wanted) ? others : [...others, wanted]).join(" and ");
}

function tokenise(text) {
  const tokens = [];
  const end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < end) {
    const [whole, quoted, closing, bracket, word] = TOKEN.exec(text);
    const place = { from: TOKEN.lastIndex - whole.trimStart().length, to: TOKEN.lastIndex };
    if (quoted !== undefined && closing === "") throw new QueryError("query.unclosedQuote", quoted);
    if (quoted !== undefined) tokens.push({ kind: "tag", text: quoted.replaceAll('\\"', '"'), ...place });
    else if (bracket !== undefined) tokens.push({ kind: bracket, text: bracket, ...place });
    else tokens.push({ kind: /^(and|or|not)$/i.test(word) ? word.toLowerCase() : "word", text: word, ...place });
  }
  return tokens;
}

class Reader {
  constructor(tokens) {
    this.tokens = tokens;
    this.position = 0;
  }

  get next() {
    return this.tokens[this.position];
  }

  take() {
    return this.tokens[this.position++];
  }

  takeIf(kind) {
    return this.next?.kind === kind && Boolean(this.take());
  }
}

function readExpression(reader) {
  const choices = [readConjunction(reader)];
  while (reader.takeIf("or")) choices.push(readConjunction(reader));
  return (subject) => choices.some((choice) => choice(subject));
}

function readConjunction(reader) {
  const conditions = [readNegation(reader)];
  while (reader.takeIf("and") || ["word", "tag", "not", "("].includes(reader.next?.kind)) {
    conditions.push(readNegation(reader));
  }
  return (subject) => conditions.every((condition) => condition(subject));
}

function readNegation(reader) {
  if (reader.takeIf("not")) {
    const condition = readNegation(reader);
    return (subject) => !condition(subject);
  }
  const token = reader.take();
  if (token?.kind === "(") {
    const inner = readExpression(reader);
    if (!reader.takeIf(")")) throw new QueryError("query.unclosedBracket", "(");
    return inner;
  }
  if (token?.kind === "tag") return matchTags(wholeTag(token.text));
  if (token?.kind === "word") return matchWord(token.text);
  throw new QueryError("query.missingTerm", token?.text ?? "");
}

function matchWord(word) {
  const [, question, value] = /^(is|file):(.+)$/i.exec(word) ?? [];
  if (question === undefined) return matchTags(word.includes("*") ? wholeTag(word) : wholeWord(word));
  if (question.toLowerCase() === "file") {
    const pattern = wholeTag(value);
    return (subject) => pattern.test(plainTag(subject.name));
  }
  if (value === "edited") return (subject) => subject.isEdited;
  if (value === "empty") return (subject) => subject.tags.size === 0;
  throw new QueryError("query.unknownQuestion", word);
}

function matchTags(pattern) {
  return ({ tags }) => {
    for (const tag of tags) if (pattern.test(tag)) return true;
    return false;
  };
}

function wholeTag(text) {
  const parts = plainTag(text).split("*").map(escapeForPattern);
  return new RegExp(`^${parts.join(".*")}$`, "su");
}

function wholeWord(word) {
  // Chinese and Japanese put no spaces between words: only Latin letters and digits can make a longer word.
  const plain = plainTag(word);
  const before = new RegExp(`^[${LATIN}]`, "u").test(plain) ? `(?<![${LATIN}])` : "";
  const after = new RegExp(`[${LATIN}]$`, "u").test(plain) ? `(?![${LATIN}])` : "";
  return new RegExp(before + escapeForPattern(plain) + after, "u");
}

/** The conditions that "and" joins: `a` and `not "b"` of `a not "b"`. A query with "or" is a single one; one that
 * cannot be read has none.
 * @param {string} query @returns {string[]} */
export function conditionsOf(query) {
  try {
    parseQuery(query);
  } catch {
    return [];
  }
  const conditions = [];
  let [depth, start] = [0, -1];
  for (const { kind, from, to } of tokenise(query)) {
    if (depth === 0 && kind === "or") return [`(${query.trim()})`];
    if (depth === 0 && kind === "and") continue;
    if (start < 0) start = from;
    depth += kind === "(" ? 1 : kind === ")" ? -1 : 0;
    if (depth > 0 || kind === "not") continue;
    conditions.push(query.slice(start, to).replace(/^not\s+/i, "not "));
    start = -1;
  }
  return conditions;
}

/** The condition that a picture has the tag, or has it not.
 * @param {string} tag @param {boolean} isExcluded */
export function conditionFor(tag, isExcluded) {
  return `${isExcluded ? "not " : ""}"${plainTag(tag).replaceAll('"', '\\"')}"`;
}
