/**
 * Captions as lists of tags, by the same rules as trainer_core/tagging: both are held to tests/caption_edit_cases.json.
 *
 * @typedef {object} PictureEdit What a person changed on one picture, applied in this order.
 * @property {string} [text] Replaces the automatic caption.
 * @property {Record<string, string>} [replace] Old tag to new tag; all at once, in place.
 * @property {string[]} [remove]
 * @property {string[]} [add] Put at the end, unless they are there.
 */

// The comma in "1,000" separates nothing.
const SEPARATOR = /(?<!\d),|,(?!\d{3}(?!\d))/;
const ESCAPED_BRACKET = /\\([()])/g;
const SENTENCE_WORDS = 5;

/** @type {Map<string, string>} */
const plainTags = new Map();

/** @param {string} caption @returns {string[]} the tags, trimmed, without empty ones */
export function splitTags(caption) {
  return caption.split(SEPARATOR).map((tag) => tag.trim()).filter((tag) => tag !== "");
}

/** @param {readonly string[]} tags */
export function joinTags(tags) {
  return tags.join(", ");
}

/** The form for comparing tags: `Long_Hair` is `long hair`, `saber \(fate\)` is `saber (fate)`.
 * @param {string} tag */
export function plainTag(tag) {
  let plain = plainTags.get(tag);
  if (plain === undefined) {
    plain = foldCase(tag.replaceAll("_", " ").replaceAll("\\", "")).split(/\s+/).filter(Boolean).join(" ");
    plainTags.set(tag, plain);
  }
  return plain;
}

/** The caption after the edit. Pure: neither argument is changed.
 * @param {string} caption @param {PictureEdit} edit */
export function applyEdit(caption, edit) {
  let tags = splitTags(edit.text === undefined ? caption : unescaped(edit.text).replaceAll(/[\r\n]+/g, ","));
  tags = withReplaced(tags, edit.replace ?? {});
  const gone = new Set((edit.remove ?? []).map(plainTag));
  tags = tags.filter((tag) => !gone.has(plainTag(tag)));
  return joinTags(withAdded(tags, edit.add ?? []));
}

/** All captions of a picture after the edit; of several, a text stands for the first.
 * @param {string} captions one a line @param {PictureEdit} edit */
export function applyToAll(captions, edit) {
  const { text, ...others } = edit;
  return captions.split("\n").map((caption, place) => applyEdit(caption, place === 0 ? edit : others)).join("\n");
}

/** @param {string} captions one a line @returns {string[]} the tags of all of them */
export function tagsOfAll(captions) {
  return captions.split("\n").flatMap(splitTags);
}

/** `caption` with the trigger words as its first tags, each once. A caption whose first tag says a trigger word, as
 * its first word or within a sentence, is not given it again.
 * @param {string} caption @param {readonly string[]} triggers */
export function leadWith(caption, triggers) {
  for (const trigger of [...triggers].reverse()) {
    const others = splitTags(caption).filter((tag) => plainTag(tag) !== plainTag(trigger));
    caption = joinTags(others.length > 0 && says(others[0], trigger) ? others : [trigger, ...others]);
  }
  return caption;
}

/** @param {string} tag a tag, or a sentence */
function isSentence(tag) {
  return tag.split(/\s+/).length >= SENTENCE_WORDS;
}

function withReplaced(tags, replace) {
  const newByOld = new Map(Object.entries(replace).map(([old, text]) => [plainTag(old), splitTags(unescaped(text))]));
  const seen = new Set(tags.map(plainTag).filter((plain) => !newByOld.has(plain)));
  return tags.flatMap((tag) => {
    const replacement = newByOld.get(plainTag(tag));
    return replacement ? replacement.filter((part) => isFirst(part, seen)) : [tag];
  });
}

function withAdded(tags, entries) {
  const seen = new Set(tags.map(plainTag));
  const added = entries.flatMap((entry) => splitTags(unescaped(entry))).filter((tag) => isFirst(tag, seen));
  if (added.length === 0 || tags.length === 0) return [...tags, ...added];
  const last = tags[tags.length - 1];
  // A full stop in mid-caption would end the sentence early.
  return [...tags.slice(0, -1), last.replace(/[.。]+$/, "") || last, ...added];
}

function isFirst(tag, seen) {
  const plain = plainTag(tag);
  if (seen.has(plain)) return false;
  seen.add(plain);
  return true;
}

function says(tag, trigger) {
  const said = escapeForPattern(plainTag(trigger));
  const found = new RegExp(`(?<![\\p{L}\\p{N}_])${said}(?![\\p{L}\\p{N}_])`, "u").exec(plainTag(tag));
  return found !== null && (found.index === 0 || isSentence(tag));
}

/** @param {string} text @returns {string} a pattern that matches exactly this text */
export function escapeForPattern(text) {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function unescaped(text) {
  return text.replace(ESCAPED_BRACKET, "$1");
}

function foldCase(text) {
  // By way of capitals "ß" becomes "ss" and both small sigmas become one, as in Python's casefold().
  return text.toUpperCase().toLowerCase().replaceAll("ς", "σ");
}
