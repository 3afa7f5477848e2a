/**
 * Which pictures are selected, as in a file browser. Every function returns a new selection.
 *
 * @typedef {object} Selection
 * @property {ReadonlySet<string>} ids
 * @property {string | null} focus The picture that the keyboard is on.
 * @property {string | null} anchor Where a range begins.
 *
 * @typedef {{range: boolean, toggle: boolean}} Modifiers Shift, and Ctrl or Command.
 */

/** @type {Selection} */
export const NOTHING = { ids: new Set(), focus: null, anchor: null };

/** @param {Selection} selection @param {readonly string[]} order the pictures shown @param {string} id
 * @param {Modifiers} modifiers @returns {Selection} */
export function select(selection, order, id, { range, toggle }) {
  if (range) return extend(selection, order, id, toggle);
  if (toggle) return toggleOne(selection, id);
  return { ids: new Set([id]), focus: id, anchor: id };
}

/** Move the focus to a place in the order; outside is the nearest end. With `toggle` the selection stays.
 * @param {Selection} selection @param {readonly string[]} order @param {number} index
 * @param {Modifiers} modifiers @returns {Selection} */
export function moveTo(selection, order, index, { range, toggle }) {
  if (order.length === 0) return selection;
  const id = order[Math.min(Math.max(index, 0), order.length - 1)];
  if (toggle && !range) return { ...selection, focus: id };
  return select(selection, order, id, { range, toggle });
}

/** @param {Selection} selection @param {string} id @returns {Selection} */
export function toggleOne(selection, id) {
  const ids = new Set(selection.ids);
  if (!ids.delete(id)) ids.add(id);
  return { ids, focus: id, anchor: id };
}

/** @param {Selection} selection @param {readonly string[]} order @returns {Selection} */
export function selectAll(selection, order) {
  return { ...selection, ids: new Set(order), focus: selection.focus ?? order[0] ?? null };
}

/** @param {Selection} selection @returns {Selection} */
export function selectNone(selection) {
  return { ...selection, ids: new Set() };
}

/** The selection without pictures that are shown no more: nothing unseen is ever edited.
 * @param {Selection} selection @param {readonly string[]} order @returns {Selection} */
export function keepShown(selection, order) {
  const shown = new Set(order);
  const focus = selection.focus !== null && shown.has(selection.focus) ? selection.focus : (order[0] ?? null);
  const anchor = selection.anchor !== null && shown.has(selection.anchor) ? selection.anchor : focus;
  return { ids: new Set([...selection.ids].filter((id) => shown.has(id))), focus, anchor };
}

function extend(selection, order, id, keep) {
  const anchor = selection.anchor ?? selection.focus ?? id;
  const ends = [order.indexOf(anchor), order.indexOf(id)].sort((a, b) => a - b);
  const range = order.slice(Math.max(ends[0], 0), ends[1] + 1);
  return { ids: new Set(keep ? [...selection.ids, ...range] : range), focus: id, anchor };
}
