/**
 * The state of an open editor, without a page: pictures with their captions, what is shown, selected and edited.
 * Panels read it and are told by `onChange` when to draw again.
 *
 * @typedef {import("./board.mjs").BoardContent} BoardContent
 * @typedef {import("./board.mjs").Picture} Picture
 * @typedef {import("./draft.mjs").Draft} Draft
 * @typedef {import("./captions.mjs").PictureEdit} PictureEdit
 *
 * @typedef {object} Captioned A picture's caption as it stands.
 * @property {string} automatic
 * @property {PictureEdit | undefined} edit
 * @property {string} text With the edit, without trigger words.
 * @property {readonly string[]} others Further captions of the same picture, as far as it has them.
 * @property {ReadonlySet<string>} plain The tags of all its captions.
 */

import { History } from "../parts/history.mjs";
import { joinTags, leadWith, plainTag, splitTags, tagsOfAll } from "./captions.mjs";
import { addTags, captionOf, removeTags, replaceTag, setText } from "./edits.mjs";
import { parseQuery } from "./query.mjs";
import { keepShown, NOTHING } from "./selection.mjs";
import { countTags } from "./tag_counts.mjs";

export class Desk {
  /** @type {Map<string, Captioned>} by picture id */
  #captions = new Map();
  /** @type {import("./tag_counts.mjs").TagCount[] | null} */
  #counts = null;
  /** @type {import("./tag_counts.mjs").TagCount[] | null} */
  #trainingCounts = null;
  #query = parseQuery("");

  /** @param {BoardContent} content @param {Draft} draft what to begin with
   * @param {(change: {captions: boolean}) => void} onChange */
  constructor(content, draft, onChange) {
    this.content = content;
    this.pictures = new Map(content.pictures.map((picture) => [picture.id, picture]));
    this.kinds = new Map(Object.entries(content.kinds).map(([tag, kind]) => [plainTag(tag), kind]));
    this.advice = new Map(content.advice.map((advice) => [plainTag(advice.tag), advice]));
    this.trainingIds = content.pictures.filter((picture) => !picture.is_regularisation).map(({ id }) => id);
    this.automatic = new Map(content.pictures.map(({ id, caption }) => [id, caption]));
    this.triggers = new Set(content.trigger_words.map(plainTag));
    this.thresholds = draft.thresholds;
    this.history = new History(draft.edits);
    this.queryText = "";
    this.shown = [...this.pictures.keys()];
    this.selection = keepShown(NOTHING, this.shown);
    this.onChange = onChange;
  }

  // ------------------------------------------------------------------------------------------------ captions

  /** @param {string} id @returns {Captioned} */
  caption(id) {
    const automatic = this.automatic.get(id);
    const edit = this.history.values.get(this.pictures.get(id).key);
    const known = this.#captions.get(id);
    if (known && known.automatic === automatic && known.edit === edit) return known;
    const captions = captionOf(automatic, edit);
    const [text, ...others] = captions.split("\n");
    const captioned = { automatic, edit, text, others, plain: new Set(tagsOfAll(captions).map(plainTag)) };
    this.#captions.set(id, captioned);
    return captioned;
  }

  /** The caption as it is trained: with the trigger words, which regularisation pictures do not get.
   * @param {string} id @returns {string[]} */
  trainedTags(id) {
    const { text } = this.caption(id);
    const isTrained = !this.pictures.get(id).is_regularisation;
    return splitTags(isTrained ? leadWith(text, this.content.trigger_words) : text);
  }

  /** Tags that the automatic caption does not have, in plain form, and those of its tags that were taken out.
   * @param {string} id @returns {{added: Set<string>, removed: string[]}} */
  difference(id) {
    const { automatic, plain } = this.caption(id);
    const before = tagsOfAll(automatic);
    const known = new Set(before.map(plainTag));
    const added = new Set([...plain].filter((tag) => !known.has(tag)));
    return { added, removed: before.filter((tag) => !plain.has(plainTag(tag))) };
  }

  /** Counts over the pictures shown. */
  get counts() {
    this.#counts ??= countTags(this.shown.map((id) => this.caption(id).plain), this.kinds);
    return this.#counts;
  }

  /** Counts over all pictures of the subject, shown or not. */
  get trainingCounts() {
    this.#trainingCounts ??= countTags(this.trainingIds.map((id) => this.caption(id).plain), this.kinds);
    return this.#trainingCounts;
  }

  /** Pictures with edits, whether or not they are shown. */
  get editedCount() {
    return [...this.pictures.values()].filter(({ key }) => this.history.values.has(key)).length;
  }

  /** Other automatic captions, as at other thresholds. The edits stay, and the query is asked again.
   * @param {Record<string, string>} captions by picture id @param {Record<string, string>} kinds */
  setAutomatic(captions, kinds) {
    for (const [id, caption] of Object.entries(captions)) this.automatic.set(id, caption);
    for (const [tag, kind] of Object.entries(kinds)) this.kinds.set(plainTag(tag), kind);
    this.#captionsChanged();
    this.refresh();
  }

  /** @param {import("./draft.mjs").Thresholds} thresholds */
  setThresholds(thresholds) {
    this.thresholds = thresholds;
    this.onChange({ captions: true });
  }

  /** The thresholds that the captions are made with. */
  get effectiveThresholds() {
    const { general, character } = this.thresholds;
    return { general: general ?? this.content.threshold, character: character ?? this.content.character_threshold };
  }

  // ------------------------------------------------------------------------------------------- shown, selected

  /** Show the pictures that a query finds.
   * @param {string} text @throws {import("./query.mjs").QueryError} the pictures shown stay */
  search(text) {
    this.#query = parseQuery(text);
    this.queryText = text;
    this.refresh();
  }

  /** Ask the query again: edits do not hide a picture from under the hand that edits it. */
  refresh() {
    this.shown = [...this.pictures.keys()].filter((id) => this.#matches(id));
    this.#counts = null;
    this.select(keepShown(this.selection, this.shown));
  }

  /** Pictures shown that the query would no longer find. */
  get outdatedCount() {
    return this.shown.filter((id) => !this.#matches(id)).length;
  }

  /** @param {import("./selection.mjs").Selection} selection */
  select(selection) {
    this.selection = selection;
    this.onChange({ captions: false });
  }

  /** What bulk changes apply to: the selected pictures, or all shown if none is. */
  get targets() {
    return this.selection.ids.size > 0 ? [...this.selection.ids] : this.shown;
  }

  // --------------------------------------------------------------------------------------------------- editing

  /** @param {readonly string[]} ids @param {readonly string[]} tags @returns {number} pictures changed */
  add(ids, tags) {
    return this.#edit(ids, (automatic, edit) => addTags(automatic, edit, tags));
  }

  /** @param {readonly string[]} ids @param {readonly string[]} tags @returns {number} pictures changed */
  remove(ids, tags) {
    return this.#edit(ids, (automatic, edit) => removeTags(automatic, edit, tags));
  }

  /** @param {readonly string[]} ids @param {string} old @param {string} replacement
   * @returns {number} pictures changed */
  replace(ids, old, replacement) {
    return this.#edit(ids, (automatic, edit) => replaceTag(automatic, edit, old, replacement));
  }

  /** @param {string} id @param {string} text the caption; trigger words in it are left out, as they come by themselves
   * @returns {number} pictures changed */
  write(id, text) {
    const isTrained = !this.pictures.get(id).is_regularisation;
    const own = splitTags(text.replaceAll(/[\r\n]+/g, ",")).filter((tag) => !isTrained || !this.isTrigger(tag));
    return this.#edit([id], (automatic) => setText(automatic, joinTags(own)));
  }

  /** @param {readonly string[]} ids @returns {number} pictures changed */
  revert(ids) {
    return this.#edit(ids, () => undefined);
  }

  /** Go back to a draft, as one step that can be undone; thresholds are no part of the history.
   * @param {Draft} draft */
  restore({ edits, thresholds }) {
    this.thresholds = thresholds;
    const keys = [...this.history.values.keys(), ...edits.keys()];
    this.history.record(new Map(keys.map((key) => [key, edits.get(key)])));
    this.#captionsChanged();
  }

  undo() {
    if (this.history.undo().length > 0) this.#captionsChanged();
  }

  redo() {
    if (this.history.redo().length > 0) this.#captionsChanged();
  }

  /** @param {string} tag */
  isTrigger(tag) {
    return this.triggers.has(plainTag(tag));
  }

  #edit(ids, change) {
    const wanted = ids.map((id) => {
      const { key } = this.pictures.get(id);
      return [key, change(this.automatic.get(id), this.history.values.get(key))];
    });
    const changed = this.history.record(new Map(wanted)).length;
    if (changed > 0) this.#captionsChanged();
    return changed;
  }

  #matches(id) {
    const { key, name, is_regularisation: isRegularisation } = this.pictures.get(id);
    const tags = new Set([...this.caption(id).plain, ...(isRegularisation ? [] : this.triggers)]);
    return this.#query({ tags, name, isEdited: this.history.values.has(key) });
  }

  #captionsChanged() {
    this.#counts = null;
    this.#trainingCounts = null;
    this.onChange({ captions: true });
  }
}
