/** One run in a window: its curve, all samples, every picture's loss, its saves and its settings. */

import { locale, notify } from "../host/page.mjs";
import { getJson } from "../host/server.mjs";
import { Dialog } from "../parts/dialog.mjs";
import { button, iconButton, make } from "../parts/element.mjs";
import { NextFrame } from "../parts/next_frame.mjs";
import { stopAndKeep } from "../stop_and_keep.mjs";
import { say } from "../words.mjs";
import { phrase } from "../words/phrases.mjs";
import { duration, size, speed } from "./amounts.mjs";
import { arithmeticLines } from "./arithmetic.mjs";
import { Curve } from "./curve.mjs";
import { FollowedRun } from "./followed_run.mjs";
import { LargeChart } from "./large_chart.mjs";
import { PictureLosses } from "./picture_losses.mjs";
import { PlanTable } from "./plan_table.mjs";
import { askFor, readHistory } from "./requests.mjs";
import { optionName } from "./run_list.mjs";
import { SampleTimeline } from "./sample_timeline.mjs";
import { SavesList } from "./saves_list.mjs";
import { Seen } from "./seen.mjs";
import { verdictCard } from "./verdict_card.mjs";

/** @type {LargeView | null} */
let opened = null;

/** @param {string} run name of its folder @param {string} [other] a second one, whose curve is drawn with it */
export function openLargeView(run, other) {
  opened?.close();
  opened = new LargeView(run, other ?? "");
}

class LargeView {
  #frame = new NextFrame(() => this.#draw());
  #news = new Seen();
  /** @type {import("./chart_lines.mjs").Charted | null} */
  #other = null;
  #otherName = "";

  constructor(run, other) {
    this.dialog = new Dialog(say("view.title", { name: run }), () => this.#stop());
    this.chart = new LargeChart();
    this.timeline = new SampleTimeline(this.dialog.element);
    this.pictures = new PictureLosses();
    this.saves = new SavesList();
    this.plan = new PlanTable();
    this.verdict = make("div");
    this.remarks = make("div.la-large-remarks");
    this.arithmetic = make("div.la-large-sum");
    this.#lay();
    this.dialog.open();
    this.followed = new FollowedRun(run, () => this.#drawSoon(), (problem) => this.#refuse(problem));
    this.#offer(run, other);
  }

  close() {
    this.dialog.close();
  }

  #stop() {
    this.#frame.cancel();
    this.followed.leave();
    this.chart.stop();
    if (opened === this) opened = null;
  }

  #lay() {
    this.title = make("h1");
    this.facts = make("span.la-subject");
    this.state = make("span.la-state");
    this.progress = make("progress.la-large-progress", { max: 1, value: 0, "aria-label": say("live.progress") });
    this.compare = make("select.la-input.la-large-compare", {
      "aria-label": say("view.compareWith"), on: { change: () => this.#compare(this.compare.value) },
    });
    this.acts = make(
      "div.la-large-acts",
      { hidden: true },
      button(say("run.finish"), () => stopAndKeep(this.followed.record.run)),
      button(say("live.sampleNow"), () => askFor("sample", this.followed.record.run)),
      button(say("live.saveNow"), () => askFor("save", this.followed.record.run)),
    );
    const hint = make("span.la-count", { text: say("view.zoomHint") });
    const main = make(
      "main.la-large-main",
      {},
      section(say("view.loss"), make("div.la-row", {}, hint, this.compare), this.chart.element),
      section(say("view.samples"), null, this.timeline.element),
      section(say("view.pictures"), null, this.pictures.element),
    );
    const side = make(
      "aside.la-large-side",
      {},
      this.verdict,
      this.remarks,
      section(say("view.size"), null, this.arithmetic),
      section(say("live.saves"), null, this.saves.element),
      section(say("view.settings"), null, this.plan.element),
    );
    this.body = make("div.la-large-body", { hidden: true }, main, side);
    this.message = make("p.la-large-message", { text: say("view.loading"), role: "status" });
    const close = iconButton("close", say("view.close"), () => this.close());
    const spring = make("span.la-spring");
    const header = make("header.la-header", {}, this.title, this.facts, spring, this.state, this.acts, close);
    this.dialog.panel.classList.add("la-large");
    this.dialog.panel.append(header, this.progress, this.body, this.message);
  }

  // ----------------------------------------------------------------------------------------------- what is shown

  /** What is heard of a run before its folder was read is not enough. */
  #drawSoon() {
    if (this.followed.history) this.#frame.ask();
  }

  #draw() {
    const { record, history } = this.followed;
    this.message.hidden = true;
    this.body.hidden = false;
    this.title.textContent = record.name;
    this.facts.textContent = [history.base, history.family].join(" · ");
    this.state.textContent = [say(`runListState.${record.state}`), ...pace(record)].join(" · ");
    this.progress.hidden = this.acts.hidden = !record.isTraining;
    this.progress.value = record.totalSteps > 0 ? record.step / record.totalSteps : 0;
    this.#chart();
    this.timeline.show(record.run, record.samples);
    this.pictures.show(record.run, history.pictures);
    this.saves.show(record.run, record.name, record.saves);
    this.plan.show(history.plan, history.defaults);
    if (this.#news.isNews([record.verdict, history.remarks, history.size])) this.#tell(record, history);
  }

  #chart() {
    const { record } = this.followed;
    this.chart.show(record.name, record, this.#otherName, this.#other);
  }

  #tell({ verdict }, { remarks, size: runSize }) {
    this.verdict.replaceChildren(...(verdict ? [verdictCard(verdict)] : []));
    this.remarks.replaceChildren(...remarks.map((text) => make("p", { text: phrase(text, locale()) })));
    const lines = arithmeticLines({ size: runSize, held_out: 0, seconds: null }, say);
    this.arithmetic.replaceChildren(...lines.map((text) => make("p", { text })));
  }

  #refuse(problem) {
    this.message.textContent = say("live.refused", { reason: problem.message });
  }

  // ------------------------------------------------------------------------------------------------- what is done

  /** List the runs that this one can be compared with. */
  async #offer(run, other) {
    const { runs } = await getJson("/lora_atelier/runs").catch(() => ({ runs: [] }));
    const others = runs.filter((one) => one.run !== run && one.step > 0);
    const options = others.map((one) => make("option", { value: one.run, text: optionName(one, others) }));
    this.compare.replaceChildren(make("option", { value: "", text: say("view.compareNone") }), ...options);
    this.compare.disabled = others.length === 0;
    this.compare.value = other;
    if (other) this.#compare(other);
  }

  async #compare(run) {
    try {
      const history = run ? await readHistory(run) : null;
      if (this.compare.value !== run) return;
      this.#other = history && { curve: new Curve(history.curve), validation: history.validation };
      this.#otherName = history ? this.compare.selectedOptions[0].textContent : "";
      if (this.followed.history) this.#chart();
    } catch (problem) {
      notify("warn", say("live.refused", { reason: problem.message }));
    }
  }
}

function section(title, beside, content) {
  const head = make("div.la-large-title", {}, make("h2", { text: title }), beside);
  return make("section.la-large-section", {}, head, content);
}

/** Where a run is, and while it is trained how fast.
 * @param {import("./record.mjs").RunRecord} record @returns {string[]} */
function pace({ isTraining, step, totalSteps, epoch, epochs, secondsPerStep, secondsLeft, memory }) {
  const told = ({ key, values }) => say(key, values);
  return [
    say("live.place", { step, steps: totalSteps, epoch, epochs }),
    isTraining && secondsPerStep !== null ? told(speed(secondsPerStep)) : "",
    isTraining && secondsLeft !== null ? say("live.left", { time: told(duration(secondsLeft)) }) : "",
    isTraining && memory !== null ? say("live.memory", { size: size(memory) }) : "",
  ].filter(Boolean);
}
