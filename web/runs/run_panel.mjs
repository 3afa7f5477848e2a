/** How a run goes, on the node that trains it: nothing before the first one. */

import { button, make } from "../parts/element.mjs";
import { NextFrame } from "../parts/next_frame.mjs";
import { stopAndKeep } from "../stop_and_keep.mjs";
import { say } from "../words.mjs";
import { duration, rateText, size, speed } from "./amounts.mjs";
import { openLargeView } from "./large_view.mjs";
import { Plot } from "./plot.mjs";
import { askFor } from "./requests.mjs";
import { SamplesStrip } from "./samples_strip.mjs";
import { Seen } from "./seen.mjs";
import { verdictCard } from "./verdict_card.mjs";

/** @typedef {import("./record.mjs").RunRecord} RunRecord */

/** Stages that have words; others are shown as the server names them. */
const STAGES = new Set([
  "training", "loading the base model", "encoding pictures", "encoding captions", "reading masks",
  "estimating memory", "compiling", "recording CUDA graphs", "measuring",
]);
const DRAWING = /^drawing /;
const MOST_SAVES = 6;
const CHART_SIZES = {
  font: 11, gap: 4, dot: 6, padding: [6, 0, 0, 0],
  steps: { room: 20, apart: 60 }, losses: { room: 40, apart: 34 }, rates: { room: 44, apart: 60 },
};
const NO_CURSOR = { cursor: { show: false } }; // it is wrong under the canvas's zoom; the large view has it

export class RunPanel {
  #frame = new NextFrame(() => this.#draw());
  /** @type {RunRecord | null} */
  #record = null;
  #news = new Seen();

  constructor() {
    this.title = make("span.la-run-state", { role: "status" });
    this.count = make("span.la-run-count");
    this.progress = make("progress.la-run-progress", { max: 1, value: 0, "aria-label": say("live.progress") });
    this.plot = make("div.la-chart", { role: "img" });
    this.chart = new Plot(this.plot, CHART_SIZES, NO_CURSOR);
    this.legend = make("div.la-legend");
    this.numbers = make("p.la-run-numbers");
    this.strip = new SamplesStrip();
    this.saves = make("div.la-saves");
    this.verdict = make("div");
    this.finish = act(say("run.finish"), say("run.finishHint"), () => stopAndKeep(this.#record.run));
    this.sample = act(say("live.sampleNow"), say("live.sampleNowHint"), () => askFor("sample", this.#record.run));
    this.save = act(say("live.saveNow"), say("live.saveNowHint"), () => askFor("save", this.#record.run));
    this.open = act(say("live.open"), say("live.openHint"), () => openLargeView(this.#record.run));
    this.element = make(
      "section.la-run",
      { hidden: true, "aria-label": say("live.title") },
      make("div.la-run-head", {}, this.title, this.count),
      this.progress,
      make("div.la-run-chart", {}, this.legend, this.plot),
      this.numbers,
      this.strip.element,
      this.saves,
      this.verdict,
      make("div.la-run-acts", {}, this.finish, this.sample, this.save, this.open),
    );
  }

  /** @param {RunRecord | null} record drawn with the next frame, however often it changes before */
  show(record) {
    this.#record = record;
    this.#frame.ask();
  }

  stop() {
    this.#frame.cancel();
    this.chart.stop();
  }

  #draw() {
    const record = this.#record;
    this.element.hidden = !record;
    if (!record) return;
    this.element.dataset.state = record.state;
    this.element.dataset.run = record.run;
    const title = headline(record);
    if (this.title.textContent !== title) this.title.textContent = title; // it is read out as it changes
    this.count.textContent = place(record);
    this.progress.hidden = !record.isTraining;
    this.progress.value = share(record);
    this.numbers.textContent = numbers(record);
    this.plot.parentElement.hidden = record.curve.length === 0;
    this.plot.setAttribute("aria-label", say("live.chart", { count: record.curve.lastStep }));
    this.#label(record);
    this.chart.show(record, null);
    this.strip.show(record.run, record.samples);
    this.#list(record.saves);
    this.#judge(record.verdict);
    for (const one of [this.finish, this.sample, this.save]) one.hidden = !record.isTraining;
  }

  #label({ curve, validation }) {
    const isMeasured = validation.some(({ held_out_loss }) => held_out_loss !== null);
    const [loss, rate] = [curve.smooth().at(-1) ?? null, curve.columns.rate.at(-1) ?? null];
    const entries = [
      ["loss", loss === null ? say("live.loss") : say("live.lossOf", { loss: loss.toPrecision(3) })],
      ...(isMeasured ? [["held-out", say("live.heldOut")]] : []),
      ["rate", rate === null ? say("live.rate") : say("live.rateOf", { rate: rateText(rate) })],
    ];
    this.legend.replaceChildren(...entries.map(([line, text]) => make("span", { text, "data-line": line })));
  }

  #list(saves) {
    this.saves.hidden = saves.length === 0;
    const left = saves.length - MOST_SAVES;
    const shown = left > 0 ? saves.slice(-MOST_SAVES) : saves;
    this.saves.replaceChildren(
      make("span", { text: say("live.saves") }),
      ...(left > 0 ? [make("span", { text: say("live.savesBefore", { count: left }) })] : []),
      ...shown.map((save) => saved(save, saves)),
    );
  }

  #judge(verdict) {
    if (!this.#news.isNews(verdict)) return;
    this.verdict.hidden = !verdict;
    this.verdict.replaceChildren(...(verdict ? [verdictCard(verdict)] : []));
  }
}

function act(label, hint, does) {
  const made = button(label, does);
  made.title = hint;
  return made;
}

/** @param {RunRecord} record */
function headline({ state, stage, name }) {
  if (state !== "training") return say(`runState.${state}`, { name });
  if (DRAWING.test(stage)) return say("stage.drawing");
  return STAGES.has(stage) ? say(`stage.${stage}`) : stage || say("stage.training");
}

/** Steps and epochs; of other stages how far they are.
 * @param {RunRecord} record */
function place({ isTraining, stage, done, total, step, totalSteps, epoch, epochs }) {
  if (isTraining && stage && stage !== "training" && total > 1) return say("live.done", { done, total });
  return say("live.place", { step, steps: totalSteps, epoch, epochs });
}

/** @param {RunRecord} record @returns {number} from 0 to 1 */
function share({ stage, done, total, step, totalSteps }) {
  if (stage && stage !== "training" && total > 0) return done / total;
  return totalSteps > 0 ? step / totalSteps : 0;
}

/** @param {RunRecord} record */
function numbers({ isTraining, secondsPerStep, secondsLeft, memory }) {
  const told = ({ key, values }) => say(key, values);
  return [
    secondsPerStep === null ? "" : told(speed(secondsPerStep)),
    isTraining && secondsLeft !== null ? say("live.left", { time: told(duration(secondsLeft)) }) : "",
    isTraining && memory !== null ? say("live.memory", { size: size(memory) }) : "",
  ].filter(Boolean).join(" · ");
}

/** @param {import("./record.mjs").Save} save @param {import("./record.mjs").Save[]} all of its run */
function saved({ epoch, step, file, megabytes, is_best, is_last }, all) {
  const isOnly = all.filter((one) => one.epoch === epoch).length === 1;
  const text = isOnly ? String(epoch) : say("live.stepShort", { step });
  const marks = [is_best && say("live.best"), is_last && say("live.last")].filter(Boolean).join(", ");
  const title = [say("live.saveHint", { file, step, size: size(megabytes) }), marks].filter(Boolean).join(" · ");
  return make("span.la-save", { text, title, "data-best": is_best, "data-last": is_last });
}
