/** The loss chart: every step faint, their running mean, what held-out pictures say, and the learning rate. */

import uPlot from "../vendor/uPlot.mjs";
import { rateText } from "./amounts.mjs";
import { shownRange } from "./curve.mjs";

/** @typedef {import("./curve.mjs").Curve} Curve */
/** @typedef {import("./record.mjs").Measured} Measured */

const FONT = "11px Inter, system-ui, sans-serif";
const AXIS = { font: FONT, ticks: { show: false }, gap: 4 };
/** Of the band between the lowest and the highest loss of each point. */
const EDGE = { stroke: "transparent", points: { show: false } };
const RATE_ROOM = 1.15;

export class LossChart {
  #plot;
  /** @type {(number | null)[]} */
  #smooth = [];

  /** @param {HTMLElement} element that it fills, whose custom properties have its colours */
  constructor(element) {
    this.element = element;
    this.curve = /** @type {Curve | null} */ (null);
    this.validation = /** @type {Measured[]} */ ([]);
    this.observer = new ResizeObserver(() => this.#fill());
    this.observer.observe(element);
  }

  /** @param {Curve} curve @param {Measured[]} validation */
  show(curve, validation) {
    [this.curve, this.validation] = [curve, validation];
    this.#draw();
  }

  stop() {
    this.observer.disconnect();
    this.#plot?.destroy();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!this.curve || width === 0) return; // is drawn once there is room
    const { step, loss, low, high, rate } = this.curve.columns;
    const measured = this.validation.filter(({ held_out_loss }) => held_out_loss !== null);
    this.#smooth = this.curve.smooth();
    const data = uPlot.join([
      [step, loss, this.#smooth, low, high, rate],
      [measured.map((one) => one.step), measured.map((one) => one.held_out_loss)],
    ]);
    this.#plot ??= new uPlot({ ...this.#options(), width, height }, null, this.element);
    this.#plot.setData(data);
  }

  #fill() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (width === 0) return;
    if (this.#plot) this.#plot.setSize({ width, height });
    else this.#draw();
  }

  #options() {
    const colour = (/** @type {string} */ name) => () => getComputedStyle(this.element).getPropertyValue(name);
    const grid = { stroke: colour("--la-line"), width: 1 };
    const line = (/** @type {string} */ name, width = 1) => ({ stroke: colour(name), width, points: { show: false } });
    return {
      cursor: { show: false }, // wrong under the canvas's zoom; the large view has it
      legend: { show: false },
      padding: [6, 0, 0, 0],
      scales: {
        x: { time: false },
        y: { range: () => this.#range() },
        rate: { range: (_plot, _least, most) => [0, (most || 1) * RATE_ROOM] },
      },
      series: [
        {},
        line("--la-raw"),
        line("--la-smooth", 2),
        EDGE,
        EDGE,
        { ...line("--la-rate"), scale: "rate", dash: [4, 3] },
        { stroke: colour("--la-held-out"), width: 1.5, points: { show: true, size: 6, fill: colour("--la-held-out") } },
      ],
      bands: [{ series: [4, 3], fill: colour("--la-band") }],
      axes: [
        { ...AXIS, stroke: colour("--la-muted"), grid: { show: false }, size: 20, space: 60 },
        { ...AXIS, stroke: colour("--la-muted"), grid, size: 40, space: 34 },
        {
          ...AXIS, stroke: colour("--la-rate"), grid: { show: false }, scale: "rate", side: 1, size: 44, space: 60,
          values: (/** @type {any} */ _, /** @type {number[]} */ rates) => rates.map(rateText),
        },
      ],
    };
  }

  #range() {
    const heldOut = this.validation.map(({ held_out_loss }) => held_out_loss);
    return shownRange(this.curve.columns.loss, [...this.#smooth, ...heldOut]);
  }
}
