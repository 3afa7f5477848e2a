/** The zoomable loss chart of the large view: its legend shows and hides lines and has their values. */

import { button, make } from "../parts/element.mjs";
import uPlot from "../vendor/uPlot.mjs";
import { say } from "../words.mjs";
import { rateText } from "./amounts.mjs";
import { COLUMNS, LINES, lossRange, tablesOf, valueAt, zoomed } from "./chart_lines.mjs";

/** @typedef {import("./chart_lines.mjs").Charted} Charted */
/** @typedef {import("./chart_lines.mjs").Line} Line */

const FONT = "12px Inter, system-ui, sans-serif";
const RATE_ROOM = 1.15;
const CLOSER = 0.7;
/** Points that an arrow key moves the cursor by, as a share of those shown. */
const STRIDE = 1 / 60;

export class LargeChart {
  #plot;
  #data = /** @type {(number | null | undefined)[][]} */ ([]);
  /** @type {[number, number] | null} first and last step shown; null is the whole run */
  #zoom = null;
  #hidden = /** @type {Set<Line>} */ (new Set());
  #names = ["", ""];

  constructor() {
    this.legend = make("div.la-large-legend", { role: "group", "aria-label": say("view.lines") });
    this.whole = button(say("view.whole"), () => this.#show(null), ".la-quiet");
    this.canvas = make("div.la-large-plot", {
      tabindex: 0,
      role: "img",
      "aria-label": say("view.loss"),
      "aria-keyshortcuts": "ArrowLeft ArrowRight + - 0",
      on: { keydown: (event) => this.#press(event) },
    });
    this.element = make("div", {}, make("div.la-large-bar", {}, this.legend, this.whole), this.canvas);
    this.observer = new ResizeObserver(() => this.#fill());
    this.observer.observe(this.canvas);
  }

  /** @param {string} name @param {Charted} run @param {string} otherName @param {Charted | null} other */
  show(name, run, otherName, other) {
    this.#names = [name, otherName];
    this.#data = uPlot.join(tablesOf(run, other));
    this.#draw();
    this.#label();
  }

  stop() {
    this.observer.disconnect();
    this.#plot?.destroy();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width === 0 || this.#data.length === 0) return; // is drawn once there is room
    this.#plot ??= this.#make(width, height);
    this.#plot.setData(this.#data, false);
    this.#show(this.#zoom);
  }

  #make(width, height) {
    const plot = new uPlot({ ...this.#options(), width, height }, null, this.canvas);
    plot.over.addEventListener("pointerenter", () => plot.syncRect(true));
    plot.over.addEventListener("dblclick", () => this.#show(null));
    for (const line of this.#hidden) this.#set(line, false, plot);
    return plot;
  }

  #fill() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width === 0) return;
    if (this.#plot) this.#plot.setSize({ width, height });
    else this.#draw();
  }

  /** @param {[number, number] | null} zoom */
  #show(zoom) {
    this.#zoom = zoom;
    this.whole.hidden = zoom === null;
    const [min, max] = zoom ?? this.#span();
    this.#plot?.setScale("x", { min, max });
  }

  #span() {
    const [steps] = this.#data;
    return /** @type {[number, number]} */ ([steps[0] ?? 0, Math.max(steps.at(-1) ?? 1, (steps[0] ?? 0) + 1)]);
  }

  #range() {
    const [first, last] = this.#zoom ?? this.#span();
    return lossRange(this.#data, first, last, !this.#hidden.has("raw"));
  }

  #press(event) {
    const { left, idx } = this.#plot?.cursor ?? {};
    const [first, last] = this.#zoom ?? this.#span();
    const width = this.#plot.over.clientWidth;
    const at = left >= 0 ? left : width / 2;
    const around = idx === null || idx === undefined ? (first + last) / 2 : this.#data[0][idx];
    const acts = {
      ArrowLeft: () => this.#plot.setCursor({ left: Math.max(0, at - width * STRIDE), top: 1 }),
      ArrowRight: () => this.#plot.setCursor({ left: Math.min(width, at + width * STRIDE), top: 1 }),
      "+": () => this.#show(zoomed([first, last], around, CLOSER, this.#span())),
      "-": () => this.#show(zoomed([first, last], around, 1 / CLOSER, this.#span())),
      0: () => this.#show(null),
    };
    if (!(event.key in acts) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    acts[event.key]();
  }

  // ------------------------------------------------------------------------------------------------ the legend

  #label() {
    const [steps] = this.#data;
    const idx = this.#plot?.cursor.idx;
    const isUnderCursor = idx !== null && idx !== undefined;
    const at = isUnderCursor ? idx : steps.length - 1;
    const isThere = (/** @type {Line} */ line) => valueAt(this.#data[LINES[line][0]], at) !== null;
    const shown = /** @type {Line[]} */ (Object.keys(LINES)).filter(isThere);
    const key = shown.join();
    if (this.legend.dataset.lines !== key) {
      this.legend.dataset.lines = key;
      this.step = make("span.la-large-step");
      this.legend.replaceChildren(this.step, ...shown.map((line) => this.#entry(line)));
    }
    this.step.textContent = steps.length > 0 ? say("live.stepShort", { step: steps[at] }) : "";
    for (const entry of this.legend.querySelectorAll("button")) {
      const line = /** @type {Line} */ (entry.dataset.line);
      const value = valueAt(this.#data[LINES[line][0]], at);
      entry.querySelector(".la-large-name").textContent = this.#nameOf(line);
      entry.querySelector("output").textContent = line === "rate" ? rateText(value) : value.toPrecision(3);
    }
  }

  /** @param {Line} line */
  #entry(line) {
    return make(
      "button.la-large-line",
      { "data-line": line, "aria-pressed": String(!this.#hidden.has(line)), on: { click: () => this.#toggle(line) } },
      make("span.la-large-name"),
      make("output"),
    );
  }

  /** @param {Line} line */
  #nameOf(line) {
    const [name, other] = this.#names;
    if (line === "otherSmooth") return other;
    if (line === "otherHeldOut") return say("view.heldOutOf", { name: other });
    return line === "smooth" && other ? name : say(`line.${line}`);
  }

  /** @param {Line} line */
  #toggle(line) {
    const isShown = this.#hidden.delete(line);
    if (!isShown) this.#hidden.add(line);
    this.#set(line, isShown, this.#plot);
    this.#show(this.#zoom);
    this.legend.querySelector(`[data-line="${line}"]`).setAttribute("aria-pressed", String(isShown));
  }

  #set(line, isShown, plot) {
    for (const column of LINES[line]) plot?.setSeries(column, { show: isShown });
  }

  // ------------------------------------------------------------------------------------------------- the drawing

  #options() {
    const colour = (/** @type {string} */ name) => () => getComputedStyle(this.canvas).getPropertyValue(name);
    const axis = { font: FONT, stroke: colour("--la-muted"), ticks: { show: false }, gap: 6 };
    const line = (/** @type {string} */ name, width = 1) => ({ stroke: colour(name), width, points: { show: false } });
    const dots = (/** @type {string} */ name) => ({
      ...line(name, 1.5),
      points: { show: true, size: 7, fill: colour(name), stroke: colour(name) },
    });
    const edge = { stroke: "transparent", points: { show: false } };
    const series = [{}];
    series[COLUMNS.raw] = line("--la-raw");
    series[COLUMNS.low] = series[COLUMNS.high] = edge;
    series[COLUMNS.smooth] = line("--la-smooth", 2);
    series[COLUMNS.rate] = { ...line("--la-rate"), scale: "rate", dash: [4, 3] };
    series[COLUMNS.heldOut] = dots("--la-held-out");
    series[COLUMNS.otherSmooth] = line("--la-other", 2);
    series[COLUMNS.otherHeldOut] = { ...dots("--la-other"), dash: [2, 3] };
    return {
      cursor: {
        y: false,
        points: { size: 7 },
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => null },
      },
      legend: { show: false },
      padding: [10, 4, 0, 0],
      scales: {
        x: { time: false },
        y: { range: () => this.#range() },
        rate: { range: (_, __, /** @type {number} */ most) => [0, (most || 1) * RATE_ROOM] },
      },
      series: series.map((one) => ({ ...one })), // uPlot keeps what it draws in them
      bands: [{ series: [COLUMNS.high, COLUMNS.low], fill: colour("--la-band") }],
      axes: [
        { ...axis, grid: { show: false }, size: 26, space: 70 },
        { ...axis, grid: { stroke: colour("--la-line"), width: 1 }, size: 52, space: 40 },
        {
          ...axis, stroke: colour("--la-rate"), grid: { show: false }, scale: "rate", side: 1, size: 56, space: 60,
          values: (/** @type {any} */ _, /** @type {number[]} */ rates) => rates.map(rateText),
        },
      ],
      hooks: { setCursor: [() => this.#label()], setSelect: [(/** @type {any} */ plot) => this.#chosen(plot)] },
    };
  }

  /** A part of the chart was drawn over with the mouse. */
  #chosen(plot) {
    const { left, width } = plot.select;
    if (width <= 0) return;
    this.#show([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }
}
