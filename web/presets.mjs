/**
 * What a preset says, without a page.
 *
 * @typedef {{subject: string, family: string, memory: number, fields: Record<string, any>,
 *   reasons: Record<string, string>, needs: Record<string, Record<string, any>>}} Preset
 *   `fields` widgets of Train LoRA with their values; `memory` in GB; `needs` widgets of other nodes
 * @typedef {{subject: string, family: string, memory: number}} Choice
 */

const CLOSE = 1e-6;

/** @template T @param {T[]} values @returns {T[]} each once, in their order */
const each = (values) => [...new Set(values)];

/** What can be chosen beside what is chosen: no family has a preset for every memory.
 * @param {Preset[]} presets @param {string} family */
export function choicesOf(presets, family) {
  return {
    subjects: each(presets.map((preset) => preset.subject)),
    families: each(presets.map((preset) => preset.family)),
    memories: each(presets.filter((preset) => preset.family === family).map((preset) => preset.memory)),
  };
}

/** The preset that is chosen, with the next larger memory where there is none of this one; undefined where there is
 * none at all.
 * @param {Preset[]} presets @param {Choice} choice @returns {Preset | undefined} */
export function presetOf(presets, { subject, family, memory }) {
  const mine = presets.filter((preset) => preset.subject === subject && preset.family === family);
  return mine.filter((preset) => preset.memory >= memory).sort((a, b) => a.memory - b.memory)[0];
}

/** Widgets whose values differ from the preset's, in its order.
 * @param {Preset} preset @param {(widget: string) => any} valueOf */
export function changedSince(preset, valueOf) {
  return Object.entries(preset.fields).filter(([name, value]) => !isSame(value, valueOf(name))).map(([name]) => name);
}

/** How things are called in the user's language.
 * @typedef {{widget: (name: string) => string, reason: (text: string) => string, on: string, off: string}} Words */

/** @param {Record<string, any>} settings @param {Words} words @returns {string} "rank 32, alpha 16" */
export function listed(settings, words) {
  return Object.entries(settings).map(([name, value]) => `${words.widget(name)} ${shown(value, words)}`).join(", ");
}

/** A line for each widget that the preset sets on purpose.
 * @param {Preset} preset @param {Words} words */
export function explained({ fields, reasons }, words) {
  const line = ([name, reason]) => `${listed({ [name]: fields[name] }, words)}: ${words.reason(reason)}`;
  return Object.entries(reasons).map(line).join("\n");
}

/** Widgets round numbers in their own way. */
function isSame(value, other) {
  if (typeof value !== "number") return value === other;
  return Math.abs(value - other) <= CLOSE * Math.max(Math.abs(value), Math.abs(other));
}

function shown(value, { on, off }) {
  if (typeof value === "boolean") return value ? on : off;
  return String(value);
}
