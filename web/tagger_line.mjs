/**
 * A line on the node while the chosen tagger is not on this computer: its size, a button that downloads it, and how
 * far the download is.
 *
 * @typedef {{name: string, is_found: boolean, megabytes: number, licence: string, family: string}} Tagger
 * @typedef {{name: string, done: number, total: number, is_running: boolean, error: string}} Download
 *   `done` and `total` in bytes
 */

import { downloadMirror, locale, notify } from "./host/page.mjs";
import { getJson, onReconnected, postJson } from "./host/server.mjs";
import { button, make } from "./parts/element.mjs";
import { Reading } from "./parts/reading.mjs";
import { say } from "./words.mjs";
import { phrase } from "./words/phrases.mjs";

const POLL_MILLISECONDS = 1000;
const MEGABYTE = 1e6;
/** What the server gives as the error of a download that the user stopped. */
const STOPPED = "stopped";

/** @type {Set<TaggerLine>} */
const watching = new Set();

onReconnected(() => watching.forEach((line) => line.check()));

export class TaggerLine {
  #reading = new Reading(() => this.#read());
  #timer = 0;
  #isLoading = false;

  /** @param {() => string | undefined} chosen name of the tagger that is chosen @param {() => void} onResize */
  constructor(chosen, onResize) {
    this.chosen = chosen;
    this.onResize = onResize;
    this.text = make("p.la-node-line", { role: "status" });
    this.bar = make("progress", { max: 1, "aria-label": say("live.progress") });
    this.act = button("", () => this.#press());
    this.element = make("div", { hidden: true }, this.text, this.bar, this.act);
  }

  /** Lines that are taken. */
  get lines() {
    return this.element.hidden ? 0 : 2.5;
  }

  /** The node is in a graph. */
  begin() {
    watching.add(this);
    this.check();
  }

  stop() {
    watching.delete(this);
    clearTimeout(this.#timer);
  }

  /** Show how it is with the tagger that is chosen now. */
  check() {
    if (watching.has(this)) this.#reading.again();
  }

  async #read() {
    clearTimeout(this.#timer);
    const answer = await getJson("/lora_atelier/taggers").catch(() => null);
    if (!watching.has(this)) return;
    const isChosen = (/** @type {Tagger} */ { name }) => name === this.chosen();
    if (answer) this.#draw(answer.taggers.find(isChosen), answer.download);
    else if (!this.#isLoading) this.#hide(true); // without an answer there is nothing to offer
    if (this.#isLoading) this.#timer = setTimeout(() => this.check(), POLL_MILLISECONDS);
  }

  #draw(tagger, download) {
    const isMissing = tagger !== undefined && !tagger.is_found;
    const isMine = isMissing && download?.name === tagger.name;
    this.#isLoading = isMine && download.is_running;
    if (!isMissing) return this.#hide(true);
    this.text.textContent = isMine && download.error !== STOPPED ? told(download) : say("tagger.missing", tagger);
    this.text.title = this.text.textContent;
    this.bar.hidden = !this.#isLoading;
    this.bar.value = this.#isLoading ? download.done / Math.max(1, download.total) : 0;
    const megabytes = Math.round(tagger.megabytes);
    const offer = megabytes > 0 ? say("tagger.download", { megabytes }) : say("tagger.downloadUnknown");
    this.act.textContent = this.#isLoading ? say("tagger.stop") : offer;
    this.act.title = this.#isLoading ? "" : say("tagger.licence", tagger);
    this.#hide(false);
  }

  async #press() {
    try {
      if (this.#isLoading) await postJson("/lora_atelier/taggers/stop", {});
      else await postJson("/lora_atelier/taggers/download", { name: this.chosen(), mirror: downloadMirror() });
    } catch (problem) {
      notify("error", say("tagger.failed", { reason: problem.message }));
    }
    this.check();
  }

  #hide(isHidden) {
    if (this.element.hidden === isHidden) return;
    this.element.hidden = isHidden;
    this.onResize();
  }
}

function told({ name, done, total, error }) {
  if (error) return say("tagger.failed", { reason: phrase(error, locale()) });
  return say("tagger.loading", { name, done: Math.round(done / MEGABYTE), total: Math.round(total / MEGABYTE) });
}
