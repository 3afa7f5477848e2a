/** All runs, in a tab of ComfyUI's sidebar. */

import { getJson, onReconnected, onServerEvent } from "../host/server.mjs";
import { button, icon, make } from "../parts/element.mjs";
import { Reading } from "../parts/reading.mjs";
import { say } from "../words.mjs";
import { openLargeView } from "./large_view.mjs";
import { RunCard, saidOf } from "./run_card.mjs";
import { heard, search } from "./run_list.mjs";

/** @typedef {import("./run_list.mjs").ListedRun} ListedRun */

/** @type {RunsSidebar | null} */
let shown = null;

onServerEvent("lora_atelier.run", (event) => shown?.hear(event));
onReconnected(() => shown?.read());

/** What ComfyUI needs to know of the tab. */
export function runsTab() {
  const render = (/** @type {HTMLElement} */ element) => {
    shown = new RunsSidebar();
    element.replaceChildren(shown.element);
  };
  const destroy = () => {
    shown?.stop();
    shown = null;
  };
  const title = say("runs.tab");
  return { id: "loraAtelierRuns", icon: "pi pi-chart-line", title, tooltip: title, render, destroy };
}

class RunsSidebar {
  #reading = new Reading(() => this.#read());
  /** @type {ListedRun[]} */
  #runs = [];
  /** @type {Map<string, RunCard>} */
  #cards = new Map();
  /** The first of two runs to be compared. */
  #first = "";

  constructor() {
    this.input = make("input.la-input", {
      type: "search",
      placeholder: say("runs.search"),
      "aria-label": say("runs.search"),
      on: { input: () => this.#show() },
    });
    this.hint = make("div.la-runs-hint", { role: "status", hidden: true });
    this.list = make("div.la-runs-list", { role: "list", "aria-label": say("runs.tab") });
    this.message = make("p.la-none", { text: say("view.loading"), role: "status" });
    this.element = make(
      "div.la-node.la-runs",
      {},
      make("div.la-runs-search", {}, icon("search"), this.input),
      this.hint,
      this.message,
      this.list,
    );
    this.read();
  }

  /** @param {import("./record.mjs").RunEvent} event */
  hear(event) {
    const runs = heard(this.#runs, event);
    if (!runs) return this.read();
    this.#runs = runs;
    const run = runs.find((one) => one.run === event.run);
    this.#cards.get(event.run)?.show(run, this.#first);
  }

  read() {
    this.#reading.again();
  }

  stop() {
    this.#reading.stop();
  }

  async #read() {
    try {
      const { runs } = await getJson("/lora_atelier/runs");
      this.#runs = runs;
      this.#show();
    } catch (problem) {
      this.message.hidden = false;
      this.message.textContent = say("live.refused", { reason: problem.message });
    }
  }

  #show() {
    const known = new Set(this.#runs.map(({ run }) => run));
    if (!known.has(this.#first)) this.#first = ""; // it was deleted
    for (const run of this.#cards.keys()) if (!known.has(run)) this.#cards.delete(run);
    const found = search(this.#runs, this.input.value, saidOf);
    this.message.hidden = found.length > 0;
    this.message.textContent = this.#runs.length > 0 ? say("runs.noneFound") : say("runs.none");
    place(this.list, found.map((run) => this.#card(run).element));
    this.#hint();
  }

  #card(run) {
    const card = this.#cards.get(run.run) ?? new RunCard((name) => this.#compare(name), () => this.read());
    this.#cards.set(run.run, card);
    card.show(run, this.#first);
    return card;
  }

  #compare(run) {
    const first = this.#first;
    this.#first = first === "" ? run : "";
    this.#show();
    if (first && first !== run) openLargeView(first, run);
  }

  #hint() {
    const first = this.#runs.find(({ run }) => run === this.#first);
    this.hint.hidden = !first;
    if (!first) return;
    const leave = button(say("runs.compareNot"), () => this.#compare(this.#first), ".la-quiet");
    this.hint.replaceChildren(make("span", { text: say("runs.compareNow", { name: first.name }) }), leave);
  }
}

/** Put elements into a list in their order, and touch only what is not in its place.
 * @param {HTMLElement} list @param {HTMLElement[]} elements */
function place(list, elements) {
  const wanted = new Set(/** @type {Element[]} */ (elements));
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((element, at) => {
    if (list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null);
  });
}
