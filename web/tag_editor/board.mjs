/**
 * What Auto Tag left for the editor on the server: the board of one run.
 *
 * @typedef {object} Picture
 * @property {string} id
 * @property {string} key Its name in the edits.
 * @property {string} name
 * @property {number} width
 * @property {number} height
 * @property {boolean} is_regularisation
 * @property {string} caption The automatic one: before edits, without trigger words.
 * @property {string} source Where the caption comes from.
 *
 * @typedef {{tag: string, share: number, kind: string, advice: "absorb" | "keep", reason: string}} Advice
 * @typedef {{tag: string, score: number, kind: string}} Candidate
 * @typedef {{written: number, unchanged: number, refused: {name: string, reason: string}[]}} SaveReport
 *
 * @typedef {object} BoardContent
 * @property {string} model The tagger's name; empty without one.
 * @property {string[]} trigger_words
 * @property {boolean} has_scores
 * @property {number} threshold
 * @property {number} character_threshold
 * @property {Picture[]} pictures
 * @property {Record<string, string>} kinds
 * @property {Advice[]} advice
 * @property {boolean} can_write_files
 */

import { addressOf, getJson, postJson } from "../host/server.mjs";

export class Board {
  #path;

  /** @param {string} id */
  constructor(id) {
    this.#path = `/lora_atelier/tagging/${encodeURIComponent(id)}`;
  }

  /** @returns {Promise<BoardContent>} */
  read() {
    return getJson(this.#path);
  }

  /** Automatic captions at other thresholds, by picture id.
   * @param {number} general @param {number} character
   * @returns {Promise<{captions: Record<string, string>, kinds: Record<string, string>}>} */
  captionsAt(general, character) {
    return getJson(`${this.#path}/captions?threshold=${general}&character_threshold=${character}`);
  }

  /** All that the tagger saw in a picture, surest first.
   * @param {string} id @returns {Promise<{tags: Candidate[]}>} */
  candidates(id) {
    return getJson(`${this.#path}/candidates/${encodeURIComponent(id)}`);
  }

  /** @param {string} id @param {number} size of the longer side, in pixels */
  thumbnail(id, size) {
    return addressOf(`${this.#path}/thumbnail/${encodeURIComponent(id)}?size=${size}`);
  }

  /** Write the caption files beside the pictures.
   * @param {{threshold: number, character_threshold: number, edits: object}} captions @returns {Promise<SaveReport>} */
  writeFiles(captions) {
    return postJson(`${this.#path}/save`, captions);
  }
}
