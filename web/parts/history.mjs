/**
 * Undo and redo without limit: only what changed is kept.
 *
 * @template Value
 * @typedef {object} Change
 * @property {ReadonlyMap<string, Value | undefined>} before By key; undefined where there was nothing.
 * @property {ReadonlyMap<string, Value | undefined>} after
 */

/** @template Value */
export class History {
  /** @type {Change<Value>[]} */
  #done = [];
  /** @type {Change<Value>[]} */
  #undone = [];
  #values;

  /** @param {ReadonlyMap<string, Value>} values */
  constructor(values) {
    this.#values = new Map(values);
  }

  /** @returns {ReadonlyMap<string, Value>} what holds now */
  get values() {
    return this.#values;
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** Put values in place, as one step. What is the same already is no change; without any, there is no step.
   * @param {ReadonlyMap<string, Value | undefined>} wanted @returns {string[]} the keys that changed */
  record(wanted) {
    const after = new Map([...wanted].filter(([key, value]) => this.#values.get(key) !== value));
    if (after.size === 0) return [];
    const before = new Map([...after.keys()].map((key) => [key, this.#values.get(key)]));
    this.#done.push({ before, after });
    this.#undone = [];
    return this.#put(after);
  }

  /** @returns {string[]} the keys that changed */
  undo() {
    const change = this.#done.pop();
    if (!change) return [];
    this.#undone.push(change);
    return this.#put(change.before);
  }

  /** @returns {string[]} the keys that changed */
  redo() {
    const change = this.#undone.pop();
    if (!change) return [];
    this.#done.push(change);
    return this.#put(change.after);
  }

  #put(values) {
    for (const [key, value] of values) {
      if (value === undefined) this.#values.delete(key);
      else this.#values.set(key, value);
    }
    return [...values.keys()];
  }
}
