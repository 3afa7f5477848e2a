/** The curves of a run or two: every step faint, their running mean, what held-out pictures say, the learning rate. */

import uPlot from "../vendor/uPlot.mjs";
import { rateText } from "./amounts.mjs";
import { COLUMNS, lossRange, tablesOf } from "./chart_lines.mjs";

/**
 * @typedef {import("./chart_lines.mjs").Charted} Charted
 * @typedef {{room: number, apart: number}} AxisSize what it takes of the chart, and between two of its values at least
 * @typedef {{font: number, gap: number, dot: number, padding: number[], steps: AxisSize, losses: AxisSize,
 *   rates: AxisSize}} Sizes in pixels
 */

const EDGE = { stroke: "transparent", points: { show: false } };
/** The rate's axis goes that much further than the highest rate. */
const RATE_ROOM = 1.15;

export class Plot {
  /** @type {any} uPlot's; null until there is room */
  drawn = null;
  /** @type {(number | null | undefined)[][]} by `COLUMNS` */
  data = [];

  /** @param {HTMLElement} element that it fills, whose custom properties have its colours @param {Sizes} sizes
   * @param {object} own options of uPlot's @param {() => [number, number]} [range] of the losses shown; else of all */
  constructor(element, sizes, own, range = () => lossRange(this.data, 0, Infinity, true)) {
    this.element = element;
    this.options = { ...options(element, sizes, range), ...own };
    this.observer = new ResizeObserver(() => this.#fill());
    this.observer.observe(element);
  }

  /** @param {Charted} run @param {Charted | null} other */
  show(run, other) {
    this.data = uPlot.join(tablesOf(run, other));
    this.#draw();
  }

  stop() {
    this.observer.disconnect();
    this.drawn?.destroy();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (width === 0 || this.data.length === 0) return; // is drawn once there is room
    this.drawn ??= new uPlot({ ...this.options, width, height }, null, this.element);
    this.drawn.setData(this.data);
  }

  #fill() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (width === 0) return;
    if (this.drawn) this.drawn.setSize({ width, height });
    else this.#draw();
  }
}

function options(element, { font, gap, dot, padding, steps, losses, rates }, range) {
  const colour = (/** @type {string} */ name) => () => getComputedStyle(element).getPropertyValue(name);
  const line = (/** @type {string} */ name, width = 1) => ({ stroke: colour(name), width, points: { show: false } });
  const dots = (/** @type {string} */ name) => ({
    ...line(name, 1.5),
    points: { show: true, size: dot, fill: colour(name), stroke: colour(name) },
  });
  const axis = (/** @type {AxisSize} */ { room, apart }, name = "--la-muted") => ({
    font: `${font}px Inter, system-ui, sans-serif`, stroke: colour(name), ticks: { show: false }, grid: { show: false },
    gap, size: room, space: apart,
  });
  const series = [{}];
  series[COLUMNS.raw] = line("--la-raw");
  series[COLUMNS.low] = series[COLUMNS.high] = EDGE;
  series[COLUMNS.smooth] = line("--la-smooth", 2);
  series[COLUMNS.rate] = { ...line("--la-rate"), scale: "rate", dash: [4, 3] };
  series[COLUMNS.heldOut] = dots("--la-held-out");
  series[COLUMNS.otherSmooth] = line("--la-other", 2);
  series[COLUMNS.otherHeldOut] = { ...dots("--la-other"), dash: [2, 3] };
  return {
    legend: { show: false },
    padding,
    scales: {
      x: { time: false },
      y: { range },
      rate: { range: (_, __, /** @type {number} */ most) => [0, (most || 1) * RATE_ROOM] },
    },
    series,
    bands: [{ series: [COLUMNS.high, COLUMNS.low], fill: colour("--la-band") }],
    axes: [
      axis(steps),
      { ...axis(losses), grid: { stroke: colour("--la-line"), width: 1 } },
      {
        ...axis(rates, "--la-rate"), scale: "rate", side: 1,
        values: (/** @type {any} */ _, /** @type {number[]} */ values) => values.map(rateText),
      },
    ],
  };
}
