/**
 * Edits that are not in the workflow yet, kept in the browser from the first change on: closing the editor, a reload
 * or a crash loses nothing.
 *
 * @typedef {import("./edits.mjs").Edits} Edits
 *
 * @typedef {object} Draft
 * @property {Edits} edits
 * @property {Thresholds} thresholds
 *
 * @typedef {object} Thresholds From 0 to 1; null where the person chose none.
 * @property {number | null} general
 * @property {number | null} character
 */

import { readEdits, writeEdits } from "./edits.mjs";

const PREFIX = "lora_atelier.tag_draft.";

/** @param {string} place the workflow and the node @returns {Draft | null} */
export function readDraft(place) {
  const text = localStorage.getItem(PREFIX + place);
  if (text === null) return null;
  try {
    const { edits, thresholds } = JSON.parse(text);
    return { edits: readEdits(edits), thresholds: { general: thresholds.general, character: thresholds.character } };
  } catch {
    return null; // written by another version: nothing that could be shown
  }
}

/** @param {string} place @param {Draft} draft @returns {boolean} false if the browser's store is full */
export function keepDraft(place, { edits, thresholds }) {
  try {
    localStorage.setItem(PREFIX + place, JSON.stringify({ edits: writeEdits(edits), thresholds }));
    return true;
  } catch {
    return false;
  }
}

/** @param {string} place */
export function dropDraft(place) {
  localStorage.removeItem(PREFIX + place);
}

/** @param {string} place */
export function hasDraft(place) {
  return localStorage.getItem(PREFIX + place) !== null;
}
