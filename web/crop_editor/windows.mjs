/**
 * Windows in the pixels of a picture: where an override puts them, as trainer_core/crop/overrides.py has it
 * (tests/crop_window_cases.json holds both to it), and where a hand moves them.
 *
 * @typedef {[number, number, number, number]} Window left, top, right, bottom
 * @typedef {import("./shapes.mjs").Size} Size
 */

import { nearestShape } from "./shapes.mjs";

/** Pixels: smaller windows could not be held with a pointer, and would teach nothing. */
const LEAST_SIDE = 16;

/** The largest window of an aspect, in the middle.
 * @param {Size} picture @param {number} aspect @returns {Window} */
export function centerWindow([width, height], aspect) {
  if (width > height * aspect) {
    const across = Math.min(width, Math.max(1, round(height * aspect)));
    const left = round((width - across) / 2);
    return [left, 0, left + across, height];
  }
  const down = Math.min(height, Math.max(1, round(width / aspect)));
  const top = round((height - down) / 2);
  return [0, top, width, top + down];
}

/** The window of an aspect around a box, which is grown to it; the largest where the picture is too small for that.
 * @param {Window} box @param {Size} picture @param {number} aspect @returns {Window} */
export function windowAroundBox(box, picture, aspect) {
  const largest = sizeOf(centerWindow(picture, aspect));
  const across = Math.max(box[2] - box[0], (box[3] - box[1]) * aspect);
  const size = across >= largest[0] ? largest : whole(across, across / aspect);
  return inside(middleOf(box), size, picture);
}

/** The largest window of an aspect, as near to a place as it can be.
 * @param {readonly [number, number]} place shares of width and height
 * @param {Size} picture @param {number} aspect @returns {Window} */
export function windowAtPlace([x, y], picture, aspect) {
  return inside([x * picture[0], y * picture[1]], sizeOf(centerWindow(picture, aspect)), picture);
}

/** @param {Window} window @param {number} x @param {number} y pixels to go @param {Size} picture @returns {Window} */
export function moved(window, x, y, picture) {
  const [left, top] = middleOf(window);
  return inside([left + x, top + y], sizeOf(window), picture);
}

/** Larger or smaller around its middle.
 * @param {Window} window @param {number} factor @param {Size} picture @param {number} aspect @returns {Window} */
export function scaled(window, factor, picture, aspect) {
  const size = fitted(sizeOf(window)[0] * factor, picture, aspect);
  return inside(middleOf(window), size, picture);
}

/** With one corner dragged to x, y; the opposite one stays.
 * @param {Window} window @param {string} corner "nw", "ne", "sw" or "se" @param {number} x @param {number} y
 * @param {Size} picture @param {number} aspect @returns {Window} */
export function cornerDragged(window, corner, x, y, picture, aspect) {
  const [isWest, isNorth] = [corner.includes("w"), corner.includes("n")];
  const [fixedX, fixedY] = [isWest ? window[2] : window[0], isNorth ? window[3] : window[1]];
  const room = /** @type {Size} */ ([isWest ? fixedX : picture[0] - fixedX, isNorth ? fixedY : picture[1] - fixedY]);
  const wanted = Math.max(isWest ? fixedX - x : x - fixedX, (isNorth ? fixedY - y : y - fixedY) * aspect);
  const [across, down] = fitted(wanted, room, aspect);
  const [left, top] = [isWest ? fixedX - across : fixedX, isNorth ? fixedY - down : fixedY];
  return [left, top, left + across, top + down];
}

/** With one edge dragged to x, y, in the shape that comes nearest; the opposite edge stays.
 * @param {Window} window @param {string} edge "n", "e", "s" or "w" @param {number} x @param {number} y
 * @param {Size} picture @param {readonly Size[]} shapes @returns {Window} */
export function edgeDragged(window, edge, x, y, picture, shapes) {
  const [left, top, right, bottom] = window;
  const dragged = { n: [left, y, right, bottom], s: [left, top, right, y], w: [x, top, right, bottom] }[edge]
    ?? [left, top, x, bottom];
  const wanted = sizeOf(/** @type {Window} */ (dragged)).map((side) => Math.max(LEAST_SIDE, side));
  const shape = nearestShape(wanted[0], wanted[1], shapes);
  const aspect = shape[0] / shape[1];
  const room = { n: [picture[0], bottom], s: [picture[0], picture[1] - top], w: [right, picture[1]] }[edge]
    ?? [picture[0] - left, picture[1]];
  const isSideways = edge === "w" || edge === "e";
  const size = fitted(isSideways ? (bottom - top) * aspect : right - left, /** @type {Size} */ (room), aspect);
  const [middleX, middleY] = middleOf(window);
  const middle = {
    n: [middleX, bottom - size[1] / 2], s: [middleX, top + size[1] / 2],
    w: [right - size[0] / 2, middleY], e: [left + size[0] / 2, middleY],
  }[edge];
  return inside(middle, size, picture);
}

/** @param {Window} window @returns {Size} */
export function sizeOf([left, top, right, bottom]) {
  return [right - left, bottom - top];
}

/** Whole pixels of an aspect, as near to `across` as fits; the side that is rounded is the one that the server rounds,
 * so that it keeps them. */
function fitted(across, [roomX, roomY], aspect) {
  const least = Math.min(LEAST_SIDE * Math.max(1, aspect), roomX, roomY * aspect);
  const wanted = Math.max(least, Math.min(across, roomX, roomY * aspect));
  if (aspect < 1) return whole(Math.floor(wanted + 1e-6), Math.floor(wanted + 1e-6) / aspect);
  const down = Math.floor(wanted / aspect + 1e-6);
  return whole(down * aspect, down);
}

/** @returns {Size} */
function whole(across, down) {
  return [Math.max(1, round(across)), Math.max(1, round(down))];
}

/** A window of that size around `middle`, moved into the picture where it would reach out.
 * @param {number[]} middle @param {Size} size @param {Size} picture @returns {Window} */
function inside([x, y], [across, down], [width, height]) {
  const left = Math.max(0, Math.min(round(x - across / 2), width - across));
  const top = Math.max(0, Math.min(round(y - down / 2), height - down));
  return [left, top, left + across, top + down];
}

function middleOf([left, top, right, bottom]) {
  return [(left + right) / 2, (top + bottom) / 2];
}

/** Halves go to the even number, as in Python. */
function round(value) {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}
