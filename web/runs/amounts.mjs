/** Times, speeds, sizes and rates, as a key of the words and the values for its places. */

const [MINUTE, HOUR, DAY] = [60, 3600, 86_400];

/** @typedef {{key: string, values: Record<string, string | number>}} Amount */

/** @param {number} seconds @returns {Amount} "40 s", "12 min", "1 h 5 min", "2 d 3 h" */
export function duration(seconds) {
  if (seconds < MINUTE - 0.5) return { key: "time.seconds", values: { seconds: Math.max(1, Math.round(seconds)) } };
  const minutes = Math.round(seconds / MINUTE);
  if (minutes < 60) return { key: "time.minutes", values: { minutes } };
  if (minutes * MINUTE < DAY) {
    return { key: "time.hours", values: { hours: Math.floor(minutes / 60), minutes: minutes % 60 } };
  }
  const hours = Math.round(seconds / HOUR);
  return { key: "time.days", values: { days: Math.floor(hours / 24), hours: hours % 24 } };
}

/** @param {number} secondsPerStep @returns {Amount} whichever of the two reads as a number above 1 */
export function speed(secondsPerStep) {
  if (secondsPerStep >= 1) return { key: "speed.slow", values: { seconds: digits(secondsPerStep) } };
  return { key: "speed.fast", values: { steps: digits(1 / secondsPerStep) } };
}

/** @param {number} megabytes @returns {string} */
export function size(megabytes) {
  return megabytes >= 1024 ? `${digits(megabytes / 1024)} GB` : `${digits(megabytes)} MB`;
}

/** A learning rate as people write it.
 * @param {number} rate @returns {string} "1e-4", "2.5e-5", "0.5" */
export function rateText(rate) {
  if (rate === 0 || rate >= 0.01) return String(Number(rate.toPrecision(3)));
  const [digit, power] = rate.toExponential(1).split("e");
  return `${digit.replace(/\.0$/, "")}e${Number(power)}`;
}

/** @param {number} value @returns {string} with two digits below 10, else without a fraction */
function digits(value) {
  return value < 10 ? String(Number(value.toFixed(1))) : String(Math.round(value));
}
