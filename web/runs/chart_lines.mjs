/**
 * What a chart draws of one run or two, and what its lines are at a step.
 *
 * @typedef {import("./curve.mjs").Curve} Curve
 * @typedef {import("./record.mjs").Measured} Measured
 * @typedef {{curve: Curve, validation: Measured[]}} Charted a run, as far as a chart shows it
 */

import { shownRange } from "./curve.mjs";

/** A run's columns of the chart, after the one of the steps. The second run has no band and no rate. */
export const COLUMNS = { raw: 1, low: 2, high: 3, smooth: 4, rate: 5, heldOut: 6, otherSmooth: 7, otherHeldOut: 8 };

/** Columns that one entry of the legend shows and hides. */
export const LINES = {
  smooth: [COLUMNS.smooth],
  raw: [COLUMNS.raw, COLUMNS.low, COLUMNS.high],
  heldOut: [COLUMNS.heldOut],
  rate: [COLUMNS.rate],
  otherSmooth: [COLUMNS.otherSmooth],
  otherHeldOut: [COLUMNS.otherHeldOut],
};

/** @typedef {keyof typeof LINES} Line */

/** Tables of steps and values, to be joined at their steps in the order of `COLUMNS`.
 * @param {Charted} run @param {Charted | null} other @returns {(number | null)[][][]} */
export function tablesOf({ curve, validation }, other) {
  const { step, loss, low, high, rate } = curve.columns;
  const compared = other ? [other.curve.columns.step, other.curve.smooth()] : [[], []];
  return [
    [step, loss, low, high, curve.smooth(), rate],
    measured(validation),
    compared,
    measured(other?.validation ?? []),
  ];
}

function measured(validation) {
  const known = validation.filter(({ held_out_loss }) => held_out_loss !== null);
  return [known.map(({ step }) => step), known.map(({ held_out_loss }) => held_out_loss)];
}

/** What a line is at a place where it may have no point of its own: what it was last, or else is first.
 * @param {(number | null | undefined)[]} column @param {number} at @returns {number | null} */
export function valueAt(column, at) {
  const isKnown = (/** @type {number | null | undefined} */ value) => value !== null && value !== undefined;
  return column.slice(0, at + 1).findLast(isKnown) ?? column.slice(at + 1).find(isKnown) ?? null;
}

/** From where to where the losses between two steps are shown.
 * @param {(number | null | undefined)[][]} data joined @param {number} first step @param {number} last step
 * @param {boolean} isRawShown @returns {[number, number]} */
export function lossRange(data, first, last, isRawShown) {
  const isInside = (/** @type {any} */ _, /** @type {number} */ at) => data[0][at] >= first && data[0][at] <= last;
  const inside = (/** @type {number} */ column) => data[column].filter(isInside).map((value) => value ?? null);
  const { raw, smooth, heldOut, otherSmooth, otherHeldOut } = COLUMNS;
  return shownRange(isRawShown ? inside(raw) : [], [smooth, heldOut, otherSmooth, otherHeldOut].flatMap(inside));
}

/** The part of a chart that is shown after a step in or out.
 * @param {[number, number]} shown first and last step @param {number} around the step that stays where it is
 * @param {number} factor below 1 is closer @param {[number, number]} whole @returns {[number, number]} */
export function zoomed([first, last], around, factor, [start, end]) {
  return [Math.max(start, around - (around - first) * factor), Math.min(end, around + (last - around) * factor)];
}
