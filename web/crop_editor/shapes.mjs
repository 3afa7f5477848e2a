/**
 * Which shape a window gets, as trainer_core/crop/buckets.py has it; tests/crop_window_cases.json holds both to it.
 *
 * @typedef {[number, number]} Size width and height in pixels
 */

/** Of the logarithm, so about 10 %: shapes this near are taken for the same, and the larger one wins. */
const CLOSE_ASPECT = 0.1;

/** The shape whose aspect is nearest to that of width x height; the larger one of two equals.
 * @param {number} width @param {number} height @param {readonly Size[]} shapes @returns {Size} */
export function nearestShape(width, height, shapes) {
  const distance = (/** @type {Size} */ [across, down]) =>
    Number(Math.abs(Math.log(across / down) - Math.log(width / height)).toFixed(9));
  return shapes.reduce((best, shape) => {
    const gain = distance(best) - distance(shape);
    return gain > 0 || (gain === 0 && areaOf(shape) > areaOf(best)) ? shape : best;
  });
}

/** The largest size of nearly the aspect of `shape` that a picture fills without being enlarged.
 * @param {Size} picture @param {Size} shape @param {number} step that divides the sides @returns {Size} */
export function shapeWithin(picture, shape, step) {
  if (picture[0] >= shape[0] && picture[1] >= shape[1]) return shape;
  const wanted = Math.log(shape[0] / shape[1]);
  const sides = (/** @type {0 | 1} */ axis) => stepsUpTo(Math.min(picture[axis], shape[axis]), step);
  const [columns, rows] = [sides(0), sides(1)];
  let best = /** @type {Size} */ ([columns[0], rows[0]]);
  for (const across of columns) {
    for (const down of rows) if (isBetter([across, down], best, wanted)) best = [across, down];
  }
  return best;
}

/** A close aspect before any other; of those the larger; of the others the nearer. */
function isBetter(size, other, wanted) {
  const [one, two] = [size, other].map(([across, down]) => Math.abs(Math.log(across / down) - wanted));
  const areClose = [one <= CLOSE_ASPECT, two <= CLOSE_ASPECT];
  if (areClose[0] !== areClose[1]) return areClose[0];
  if (!areClose[0] && one !== two) return one < two;
  return areaOf(size) > areaOf(other);
}

function stepsUpTo(most, step) {
  return Array.from({ length: Math.max(1, Math.floor(most / step)) }, (_, place) => step * (place + 1));
}

function areaOf([across, down]) {
  return across * down;
}
