/**
 * Edits by hand as the workflow carries them, and the three things done to them: add, remove, replace.
 *
 * Edits stay small differences from the automatic caption, so that they still mean the same once a threshold moves.
 *
 * @typedef {import("./captions.mjs").PictureEdit} PictureEdit
 * @typedef {ReadonlyMap<string, PictureEdit>} Edits By the picture's key.
 */

import { applyToAll, plainTag, tagsOfAll } from "./captions.mjs";

const VERSION = 1;

/** @param {string} text the `edits` widget of Auto Tag @returns {Map<string, PictureEdit>}
 * @throws {SyntaxError} it is not JSON of this form */
export function readEdits(text) {
  if (text.trim() === "") return new Map();
  const value = JSON.parse(text);
  if (value?.version !== VERSION || !isRecord(value.pictures)) throw new SyntaxError("unknown form of edits");
  return new Map(Object.entries(value.pictures).map(([key, edit]) => [key, readEdit(edit)]));
}

/** @param {Edits} edits @returns {string} JSON; "" without edits */
export function writeEdits(edits) {
  return edits.size === 0 ? "" : JSON.stringify(toJson(edits));
}

/** @param {Edits} edits with the pictures in order, so that the same edits are the same text */
export function toJson(edits) {
  const pictures = Object.fromEntries([...edits].sort(([a], [b]) => (a < b ? -1 : 1)));
  return { version: VERSION, pictures };
}

/** The captions of a picture, one a line, with an edit if there is one.
 * @param {string} automatic one a line @param {PictureEdit | undefined} edit */
export function captionOf(automatic, edit) {
  return applyToAll(automatic, edit ?? {});
}

/** A tag that was removed comes back to its place; others go to the end.
 * @param {string} automatic @param {PictureEdit | undefined} edit @param {readonly string[]} tags
 * @returns {PictureEdit | undefined} */
export function addTags(automatic, edit, tags) {
  const wanted = plainSet(tags);
  const uncovered = { ...edit, remove: without(edit?.remove, wanted) };
  const missing = tags.filter((tag) => !has(captionOf(automatic, uncovered), tag));
  return shortest(automatic, edit, { ...uncovered, add: [...(edit?.add ?? []), ...missing] });
}

/** @param {string} automatic @param {PictureEdit | undefined} edit @param {readonly string[]} tags
 * @returns {PictureEdit | undefined} */
export function removeTags(automatic, edit, tags) {
  const unwanted = plainSet(tags);
  const taken = { ...edit, add: without(edit?.add, unwanted) };
  const left = tags.filter((tag) => has(captionOf(automatic, taken), tag));
  return settle(automatic, edit, { remove: [...tags] }, { ...taken, remove: [...(edit?.remove ?? []), ...left] });
}

/** @param {string} automatic @param {PictureEdit | undefined} edit @param {string} old @param {string} replacement
 * @returns {PictureEdit | undefined} */
export function replaceTag(automatic, edit, old, replacement) {
  const renamed = (/** @type {string} */ tag) => (plainTag(tag) === plainTag(old) ? replacement : tag);
  const replace = Object.fromEntries(Object.entries(edit?.replace ?? {}).map(([key, tag]) => [key, renamed(tag)]));
  const next = { ...edit, replace: { ...replace, [old]: replacement }, add: (edit?.add ?? []).map(renamed) };
  if (!has(edit?.text ?? automatic, old)) delete next.replace[old];
  return settle(automatic, edit, { replace: { [old]: replacement } }, next);
}

/** @param {string} automatic @param {string} text the whole caption @returns {PictureEdit | undefined} */
export function setText(automatic, text) {
  return captionOf(automatic, { text }) === captionOf(automatic, undefined) ? undefined : { text };
}

/** `next` if it does to the caption what `step` does; the whole caption as text where no small difference can. */
function settle(automatic, edit, step, next) {
  const after = applyToAll(captionOf(automatic, edit), step);
  // A text stands for one caption only.
  const isRight = captionOf(automatic, next) === after || automatic.includes("\n");
  return shortest(automatic, edit, isRight ? next : { text: after });
}

/** `next` without empty parts; `edit` where it changes nothing, and none where the automatic caption comes back. */
function shortest(automatic, edit, next) {
  const after = captionOf(automatic, next);
  if (after === captionOf(automatic, edit)) return edit;
  if (after === captionOf(automatic, undefined)) return undefined;
  const parts = Object.entries(next).filter(([name, part]) => name === "text" || Object.keys(part).length > 0);
  return Object.fromEntries(parts);
}

function has(caption, tag) {
  return tagsOfAll(caption).some((other) => plainTag(other) === plainTag(tag));
}

function without(tags, unwanted) {
  return (tags ?? []).filter((tag) => !unwanted.has(plainTag(tag)));
}

function plainSet(tags) {
  return new Set(tags.map(plainTag));
}

function readEdit(value) {
  const isEdit =
    isRecord(value) &&
    (value.text === undefined || typeof value.text === "string") &&
    (value.replace === undefined || (isRecord(value.replace) && areStrings(Object.values(value.replace)))) &&
    [value.remove, value.add].every((tags) => tags === undefined || (Array.isArray(tags) && areStrings(tags)));
  if (!isEdit) throw new SyntaxError("unknown form of an edit");
  return value;
}

function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function areStrings(values) {
  return values.every((value) => typeof value === "string");
}
