/** The zoomable loss chart of the large view: its legend shows and hides lines and has their values. */

import { button, make } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { rateText } from "./amounts.mjs";
import { LINES, lossRange, valueAt, zoomed } from "./chart_lines.mjs";
import { Plot } from "./plot.mjs";

/** @typedef {import("./chart_lines.mjs").Charted} Charted */
/** @typedef {import("./chart_lines.mjs").Line} Line */

const SIZES = {
  font: 12, gap: 6, dot: 7, padding: [10, 4, 0, 0],
  steps: { room: 26, apart: 70 }, losses: { room: 52, apart: 40 }, rates: { room: 56, apart: 60 },
};
const CLOSER = 0.7;
/** Points that an arrow key moves the cursor by, as a share of those shown. */
const STRIDE = 1 / 60;

export class LargeChart {
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
    this.plot = new Plot(this.canvas, SIZES, this.#options(), () => this.#range());
  }

  /** @param {string} name @param {Charted} run @param {string} otherName @param {Charted | null} other */
  show(name, run, otherName, other) {
    this.#names = [name, otherName];
    this.plot.show(run, other);
    this.#show(this.#zoom);
    this.#label();
  }

  stop() {
    this.plot.stop();
  }

  /** @param {[number, number] | null} zoom */
  #show(zoom) {
    this.#zoom = zoom;
    this.whole.hidden = zoom === null;
    const [min, max] = zoom ?? this.#span();
    this.plot.drawn?.setScale("x", { min, max });
  }

  #span() {
    const [steps] = this.plot.data;
    return /** @type {[number, number]} */ ([steps[0] ?? 0, Math.max(steps.at(-1) ?? 1, (steps[0] ?? 0) + 1)]);
  }

  #range() {
    const [first, last] = this.#zoom ?? this.#span();
    return lossRange(this.plot.data, first, last, !this.#hidden.has("raw"));
  }

  #press(event) {
    const { drawn } = this.plot;
    if (!drawn || event.ctrlKey || event.metaKey) return;
    const { left, idx } = drawn.cursor;
    const [first, last] = this.#zoom ?? this.#span();
    const width = drawn.over.clientWidth;
    const at = left >= 0 ? left : width / 2;
    const around = idx === null || idx === undefined ? (first + last) / 2 : this.plot.data[0][idx];
    const acts = {
      ArrowLeft: () => drawn.setCursor({ left: Math.max(0, at - width * STRIDE), top: 1 }),
      ArrowRight: () => drawn.setCursor({ left: Math.min(width, at + width * STRIDE), top: 1 }),
      "+": () => this.#show(zoomed([first, last], around, CLOSER, this.#span())),
      "-": () => this.#show(zoomed([first, last], around, 1 / CLOSER, this.#span())),
      0: () => this.#show(null),
    };
    if (!(event.key in acts)) return;
    event.preventDefault();
    acts[event.key]();
  }

  // ------------------------------------------------------------------------------------------------ the legend

  #label() {
    const [steps] = this.plot.data;
    const idx = this.plot.drawn?.cursor.idx;
    const isUnderCursor = idx !== null && idx !== undefined;
    const at = isUnderCursor ? idx : steps.length - 1;
    const isThere = (/** @type {Line} */ line) => valueAt(this.plot.data[LINES[line][0]], at) !== null;
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
      const value = valueAt(this.plot.data[LINES[line][0]], at);
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
    this.#set(line, isShown, this.plot.drawn);
    this.#show(this.#zoom);
    this.legend.querySelector(`[data-line="${line}"]`).setAttribute("aria-pressed", String(isShown));
  }

  #set(line, isShown, plot) {
    for (const column of LINES[line]) plot?.setSeries(column, { show: isShown });
  }

  // ------------------------------------------------------------------------------------------------- the mouse

  #options() {
    return {
      cursor: {
        y: false,
        points: { size: 7 },
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => null },
      },
      hooks: {
        ready: [(/** @type {any} */ plot) => this.#begin(plot)],
        setCursor: [() => this.#label()],
        setSelect: [(/** @type {any} */ plot) => this.#chosen(plot)],
      },
    };
  }

  #begin(plot) {
    plot.over.addEventListener("pointerenter", () => plot.syncRect(true));
    plot.over.addEventListener("dblclick", () => this.#show(null));
    for (const line of this.#hidden) this.#set(line, false, plot);
  }

  /** A part of the chart was drawn over with the mouse. */
  #chosen(plot) {
    const { left, width } = plot.select;
    if (width <= 0) return;
    this.#show([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }
}
