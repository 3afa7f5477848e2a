/** The arithmetic of a training on its node, while its widgets and the graph before it are being set. */

import { isInView, ownersOf } from "../host/graph.mjs";
import { postJson } from "../host/server.mjs";
import { make } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { arithmeticLines, questionOf } from "./arithmetic.mjs";
import { stepAt } from "./graph_steps.mjs";

/** Milliseconds in which nothing may change before the server is asked. Looking finds every change, made by widgets,
 * links, undo or another node, without a hook in each. */
const QUIET = 300;
/** Milliseconds until a server that gave no answer is asked again. */
const REST = 5000;

export class ArithmeticLine {
  #timer = 0;
  #seen = "";
  #asked = "";
  #isAsking = false;
  #restUntil = 0;

  /** @param {any} node that trains @param {() => string | null} lastRun */
  constructor(node, lastRun) {
    this.node = node;
    this.lastRun = lastRun;
    this.element = make("div.la-arithmetic", { role: "status" });
  }

  /** The node is in a graph. */
  begin() {
    this.#timer = setInterval(() => this.#look(), QUIET);
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** Ask again, as the answer may be another one: a run has told how fast this machine is. */
  forget() {
    this.#asked = "";
  }

  #look() {
    if (document.hidden || this.#isAsking || Date.now() < this.#restUntil || !isInView(this.node)) return;
    const question = this.#question();
    const [before, asks] = [this.#seen, JSON.stringify(question)];
    this.#seen = asks;
    if (asks !== before || asks === this.#asked) return;
    this.#asked = asks;
    if (question) this.#ask(question);
    else this.#show(["", this.#isFed() ? say("arithmetic.runOnce") : ""]);
  }

  #question() {
    const [owners] = ownersOf(this.node);
    return questionOf(stepAt({ node: this.node, owners }), this.lastRun());
  }

  #isFed() {
    return this.node.inputs.some((/** @type {any} */ input) => input.name === "dataset" && input.link != null);
  }

  async #ask(question) {
    this.#isAsking = true;
    try {
      this.#show(arithmeticLines(await postJson("/lora_atelier/arithmetic", question), say));
    } catch (problem) {
      if (problem.status === 0) this.#rest();
      else this.#show([problem.message, ""], ".la-refused");
    } finally {
      this.#isAsking = false;
    }
  }

  #rest() {
    this.#restUntil = Date.now() + REST;
    this.forget();
  }

  #show([first, second], look = "") {
    const line = (/** @type {string} */ text, more = "") => text && make(`p${more}`, { text, title: text });
    this.element.replaceChildren(...[line(first, look || ".la-steps"), line(second)].filter(Boolean));
  }
}
