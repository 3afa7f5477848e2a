/** One run in the list of all runs, and what can be done with it. */

import { openWorkflow } from "../host/graph.mjs";
import { confirmDeletion, copyText, locale, notify } from "../host/page.mjs";
import { getJson, postJson } from "../host/server.mjs";
import { button, make } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { size } from "./amounts.mjs";
import { openLargeView } from "./large_view.mjs";
import { findAgain } from "./live.mjs";
import { pictureAddress } from "./run_pictures.mjs";
import { Seen } from "./seen.mjs";
import { sampleAddress } from "./shown_sample.mjs";

/** @typedef {import("./run_list.mjs").ListedRun} ListedRun */

/** Pixels. */
const SIDE = 160;

export class RunCard {
  #seen = new Seen();
  /** @type {ListedRun | null} */
  #run = null;

  /** @param {(run: string) => void} onCompare @param {() => void} onDelete */
  constructor(onCompare, onDelete) {
    this.onCompare = onCompare;
    this.onDelete = onDelete;
    this.steps = make("span.la-count");
    this.element = make("article.la-run-card", { role: "listitem" });
  }

  /** @param {ListedRun} run @param {string} first of two that are to be compared; empty where none is chosen */
  show(run, first) {
    this.#run = run;
    const isFirst = first === run.run;
    this.steps.textContent = `${when(run.changed)} · ${steps(run)}`;
    const { step, total_steps, ...others } = run;
    if (this.#seen.isNews([others, step > 0, isFirst])) this.#lay(run, isFirst);
  }

  /** Not for every step: a button that is made anew loses the focus, and a press that has begun on it. */
  #lay(run, isFirst) {
    this.element.dataset.run = run.run;
    this.element.dataset.state = run.state;
    this.element.toggleAttribute("data-chosen", isFirst);
    this.element.replaceChildren(this.#face(run), this.#buttons(run, isFirst));
  }

  #face(run) {
    const { name, verdict, state, base } = run;
    const word = verdict && state === "finished" ? say(`kindOfRun.${verdict.kind}`) : say(`runListState.${state}`);
    return make(
      "button.la-run-face",
      { title: say("live.openHint"), on: { click: () => openLargeView(run.run) } },
      picture(run),
      make(
        "span.la-run-facts",
        {},
        make("strong", { text: name }),
        make("span.la-run-word", { text: word, "data-kind": (state === "finished" && verdict?.kind) || state }),
        make("span.la-run-base", { text: base, title: base }),
        this.steps,
      ),
    );
  }

  #buttons(run, isFirst) {
    const compare = button(say("runs.compare"), () => this.onCompare(run.run), ".la-quiet");
    compare.setAttribute("aria-pressed", String(isFirst));
    const resume = hinted(say("runs.resume"), say("runs.resumeHint"), () => this.#resume());
    const reveal = hinted(say("runs.reveal"), say("runs.revealHint"), () => this.#reveal());
    const remove = hinted(say("runs.delete"), say("runs.deleteHint"), () => this.#delete());
    return make(
      "div.la-run-buttons",
      {},
      run.state === "stopped" && run.has_workflow ? resume : null,
      run.step > 0 ? compare : null,
      reveal,
      run.state === "training" ? null : remove,
    );
  }

  /** Open the workflow that the run was started from; queued again, it goes on where it stopped. */
  async #resume() {
    const { run, name } = this.#run;
    try {
      await openWorkflow(await getJson(`/lora_atelier/runs/workflow?${new URLSearchParams({ run })}`), name);
      notify("info", say("runs.resumed", { name }));
    } catch (problem) {
      notify("error", say("live.refused", { reason: problem.message }));
    }
  }

  async #reveal() {
    const folder = `output/lora_atelier/runs/${this.#run.run}`;
    const isCopied = await copyText(folder);
    notify("info", isCopied ? say("runs.folderCopied") : say("runs.folder"), folder);
  }

  async #delete() {
    const { run, name, megabytes } = this.#run;
    const question = say("runs.deleteAsk", { name, size: size(megabytes) });
    if (!(await confirmDeletion(say("runs.deleteTitle"), question))) return;
    try {
      await postJson("/lora_atelier/runs/delete", { run });
      notify("success", say("runs.deleted", { name }));
      findAgain();
    } catch (problem) {
      notify("error", say("live.refused", { reason: problem.message }));
    }
    this.onDelete();
  }
}

function hinted(label, hint, act) {
  const made = button(label, act, ".la-quiet");
  made.title = hint;
  return made;
}

/** Its newest sample, else the first picture that it learns from, else nothing.
 * @param {ListedRun} run */
function picture({ run, thumbnail }) {
  const src = thumbnail ? sampleAddress(run, thumbnail, SIDE) : pictureAddress(run, SIDE);
  const image = make("img.la-run-picture", {
    src, alt: "", loading: "lazy", draggable: "false",
    on: { error: () => image.replaceWith(make("span.la-run-picture")) },
  });
  return image;
}

/** @param {ListedRun} run */
function steps({ state, step, total_steps }) {
  if (state === "finished") return say("arithmetic.steps", { count: step });
  return say("runs.stepOf", { step, steps: total_steps });
}

/** The time of day for today, else the date.
 * @param {number} seconds since 1970 */
function when(seconds) {
  const [then, now] = [new Date(seconds * 1000), new Date()];
  const isToday = then.toDateString() === now.toDateString();
  const isThisYear = then.getFullYear() === now.getFullYear();
  if (isToday) return then.toLocaleTimeString(locale(), { hour: "2-digit", minute: "2-digit" });
  const year = isThisYear ? undefined : "numeric";
  return then.toLocaleDateString(locale(), { day: "numeric", month: "short", year });
}

/** Words that a run is found by beside its names.
 * @param {ListedRun} run @returns {string} */
export function saidOf({ state, verdict }) {
  return [say(`runListState.${state}`), verdict ? say(`kindOfRun.${verdict.kind}`) : ""].join(" ");
}
