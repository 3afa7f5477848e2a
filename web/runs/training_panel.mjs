/** What a node that trains shows last: its arithmetic, and how its newest run goes. */

import { addPanel, after, refit, whileInGraph } from "../host/node.mjs";
import { make } from "../parts/element.mjs";
import { ArithmeticLine } from "./arithmetic_line.mjs";
import { LiveRun } from "./live.mjs";
import { RunPanel } from "./run_panel.mjs";

/** Pixels that ComfyUI leaves around an element on a node. */
const AROUND = 20;
/** Differences of height that nobody sees. */
const SAME = 1;

export class TrainingPanel {
  #height;
  #wasTraining = false;

  /** @param {any} node that was just made @param {number} height in pixels, until it has been in view
   * @param {...HTMLElement} before what stands above the arithmetic */
  constructor(node, height, ...before) {
    this.node = node;
    this.#height = height;
    this.run = new RunPanel();
    this.live = new LiveRun(node, () => this.#show());
    this.arithmetic = new ArithmeticLine(node, () => this.live.record?.run ?? null);
    this.content = make("div.la-node", {}, ...before, this.arithmetic.element, this.run.element);
    addPanel(node, "training", make("div.la-training", {}, this.content), () => this.#height);
    this.observer = new ResizeObserver(() => this.#fit());
    whileInGraph(node, () => this.#begin(), () => this.#stop());
    after(node, "onExecuted", () => this.#executed());
  }

  refresh() {
    this.live.find();
  }

  #show() {
    const isTraining = this.live.record?.isTraining ?? false;
    if (this.#wasTraining && !isTraining) this.arithmetic.forget(); // how long one takes is known better now
    this.#wasTraining = isTraining;
    this.run.show(this.live.record);
  }

  #executed() {
    this.live.find(); // a run that was finished before answers at once, without a word on the way
    this.arithmetic.forget();
  }

  /** The node is as high as what it shows; an element that is out of view has no height. */
  #fit() {
    const height = this.content.offsetHeight + AROUND;
    if (this.content.offsetHeight === 0 || Math.abs(height - this.#height) <= SAME) return;
    this.#height = height;
    if (this.node.graph) refit(this.node);
  }

  #begin() {
    this.observer.observe(this.content);
    this.live.begin();
    this.arithmetic.begin();
  }

  #stop() {
    this.observer.disconnect();
    this.live.stop();
    this.arithmetic.stop();
    this.run.stop();
  }
}
