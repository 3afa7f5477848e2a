/**
 * The loss of a run in few points, however long it goes on. Each point stands for the steps since the one before.
 *
 * @typedef {{step: number[], loss: (number | null)[], low: (number | null)[], high: (number | null)[],
 *   rate: (number | null)[]}} Columns losses are null where no step of a point had a finite one
 */

/** Points that are drawn at most; twice as many are kept before they are merged. */
export const MOST_POINTS = 1500;

/** Steps after which the running mean has forgotten, as a share of the run. */
const MEMORY = 1 / 20;

/** Shares of the losses that fall outside what a chart shows, below and above, so that a spike hides nothing. */
const [CUT_BELOW, CUT_ABOVE] = [0.002, 0.015];
const MARGIN = 0.06;

export class Curve {
  /** @param {Partial<Columns>} [columns] */
  constructor({ step = [], loss = [], low = loss, high = loss, rate = [] } = {}) {
    /** @type {Columns} */
    this.columns = { step: [...step], loss: [...loss], low: [...low], high: [...high], rate: [...rate] };
  }

  get length() {
    return this.columns.step.length;
  }

  get lastStep() {
    return this.columns.step.at(-1) ?? 0;
  }

  /** Take up steps that were just trained; those that are known already are left out.
   * @param {[number, number | null, number | null][]} points step, loss and rate of each */
  add(points) {
    const { step, loss, low, high, rate } = this.columns;
    for (const [at, value, speed] of points) {
      if (at <= this.lastStep) continue;
      step.push(at);
      for (const column of [loss, low, high]) column.push(value);
      rate.push(speed);
    }
    if (this.length > 2 * MOST_POINTS) this.columns = halved(this.columns);
  }

  /** The running mean at each point, over about a twentieth of the run, without a pull towards its start.
   * @returns {(number | null)[]} */
  smooth() {
    const { step, loss } = this.columns;
    const keep = 1 - 1 / Math.max(2, this.lastStep * MEMORY);
    let [mean, weight] = [0, 0];
    return loss.map((value, at) => {
      if (value !== null) {
        const kept = keep ** (step[at] - (step[at - 1] ?? 0));
        mean = kept * mean + (1 - kept) * value;
        weight = kept * weight + (1 - kept);
      }
      return weight > 0 ? mean / weight : null;
    });
  }
}

/** Two points become one.
 * @param {Columns} columns @returns {Columns} */
function halved({ step, loss, low, high, rate }) {
  const found = { step: [], loss: [], low: [], high: [], rate: [] };
  for (let first = 0; first < step.length; first += 2) {
    const last = Math.min(first + 1, step.length - 1);
    const [before, middle, end] = [step[first - 1] ?? 0, step[first], step[last]];
    found.step.push(end);
    found.loss.push(mean(loss[first], middle - before, loss[last], end - middle));
    found.low.push(chosen(Math.min, low[first], low[last]));
    found.high.push(chosen(Math.max, high[first], high[last]));
    found.rate.push(rate[last]);
  }
  return found;
}

function mean(one, times, other, otherTimes) {
  if (one === null || otherTimes === 0) return otherTimes === 0 ? one : other;
  return other === null ? one : (one * times + other * otherTimes) / (times + otherTimes);
}

function chosen(choose, one, other) {
  if (one === null || other === null) return one ?? other;
  return choose(one, other);
}

/** From where to where a chart shows losses: nearly all of them, and every value of `wanted`.
 * @param {(number | null)[]} losses @param {(number | null)[]} wanted @returns {[number, number]} */
export function shownRange(losses, wanted) {
  const sorted = losses.filter((loss) => loss !== null).sort((one, other) => one - other);
  const at = (/** @type {number} */ share) => sorted[Math.round(share * (sorted.length - 1))];
  const must = [...wanted.filter((value) => value !== null), at(CUT_BELOW), at(1 - CUT_ABOVE)].filter(Number.isFinite);
  if (must.length === 0) return [0, 1];
  const [low, high] = [Math.min(...must), Math.max(...must)];
  const margin = MARGIN * (high - low) || Math.abs(high) * MARGIN || 1;
  return [Math.max(0, low - margin), high + margin];
}
