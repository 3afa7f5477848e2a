/** Which two samples are laid over each other at first. */

/** The base model's, or the first there is, against the chosen one; the first one itself is shown against the last.
 * @template Sample @param {Sample[]} row of one prompt, by epoch @param {Sample} chosen
 * @returns {[number, number]} their places in the row */
export function pairOf(row, chosen) {
  const place = row.indexOf(chosen);
  return place > 0 ? [0, place] : [0, row.length - 1];
}
