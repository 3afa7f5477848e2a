/**
 * How often each tag occurs, and what to do about tags that nearly every picture has.
 *
 * @typedef {object} TagCount
 * @property {string} tag In plain form.
 * @property {string} kind
 * @property {number} count Pictures that have it.
 */

/** Display order. Kinds that are none of these come last. */
export const KINDS = ["character", "hair", "eyes", "body", "clothes", "pose", "background", "other"];

const COMMON_SHARE = 0.9;

/** @param {Iterable<ReadonlySet<string>>} tagSets plain tags, one set a picture
 * @param {ReadonlyMap<string, string>} kinds by plain tag @returns {TagCount[]} in no order */
export function countTags(tagSets, kinds) {
  const counts = new Map();
  for (const tags of tagSets) for (const tag of tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].map(([tag, count]) => ({ tag, count, kind: kinds.get(tag) ?? "other" }));
}

/** @param {readonly TagCount[]} counts @param {"count" | "name"} order @param {string} filter part of a tag
 * @returns {{kind: string, tags: TagCount[]}[]} kinds that have tags, in display order */
export function groupTags(counts, order, filter) {
  const byName = (/** @type {TagCount} */ a, /** @type {TagCount} */ b) => (a.tag < b.tag ? -1 : 1);
  const wanted = counts.filter(({ tag }) => tag.includes(filter));
  const sorted = wanted.sort(order === "name" ? byName : (a, b) => b.count - a.count || byName(a, b));
  const groups = new Map();
  for (const entry of sorted) {
    if (!groups.has(entry.kind)) groups.set(entry.kind, []);
    groups.get(entry.kind).push(entry);
  }
  const rank = (/** @type {string} */ kind) => (KINDS.includes(kind) ? KINDS.indexOf(kind) : KINDS.length);
  return [...groups].sort(([a], [b]) => rank(a) - rank(b)).map(([kind, tags]) => ({ kind, tags }));
}

/** @param {number} count @param {number} total @returns {boolean} nearly every picture has it */
export function isCommon(count, total) {
  return total > 0 && count >= COMMON_SHARE * total;
}

/** Tags to offer while one is typed: those that begin so, then those with a word that begins so; most used first.
 * @param {readonly TagCount[]} counts @param {string} typed in plain form @param {number} most
 * @returns {TagCount[]} */
export function suggestTags(counts, typed, most) {
  if (typed === "") return [];
  const rank = (/** @type {TagCount} */ { tag }) => (tag.startsWith(typed) ? 0 : 1);
  const found = counts.filter(({ tag }) => tag !== typed && (tag.startsWith(typed) || tag.includes(` ${typed}`)));
  return found.sort((a, b) => rank(a) - rank(b) || b.count - a.count).slice(0, most);
}
