/**
 * A line on the node while the chosen tagger is not on this computer: its size, a button that downloads it, and how
 * far the download is.
 *
 * @typedef {{name: string, is_found: boolean, megabytes: number, licence: string, family: string}} Tagger
 * @typedef {{name: string, done: number, total: number, is_running: boolean, error: string}} Download
 *   `done` and `total` in bytes
 */

import { downloadMirror, locale, notify } from "./host/page.mjs";
import { getJson, postJson } from "./host/server.mjs";
import { button, make } from "./parts/element.mjs";
import { say } from "./words.mjs";
import { phrase } from "./words/phrases.mjs";

const POLL_MILLISECONDS = 1000;
const MEGABYTE = 1e6;
/** What the server gives as the error of a download that the user stopped. */
const STOPPED = "stopped";

export class TaggerLine {
  #timer = 0;
  #name = /** @type {string | undefined} */ (undefined);
  #isLoading = false;

  /** @param {() => void} onResize */
  constructor(onResize) {
    this.onResize = onResize;
    this.text = make("p.la-node-line", { role: "status" });
    this.bar = make("progress", { max: 1 });
    this.act = button("", () => this.#press());
    this.element = make("div", { hidden: true }, this.text, this.bar, this.act);
  }

  /** Lines that are taken. */
  get lines() {
    return this.element.hidden ? 0 : 2.5;
  }

  /** @param {string | undefined} name of the tagger that is chosen */
  async check(name) {
    this.#name = name;
    clearTimeout(this.#timer);
    try {
      const { taggers, download } = await getJson("/lora_atelier/taggers");
      const tagger = taggers.find((/** @type {Tagger} */ one) => one.name === name);
      if (name === this.#name) this.#draw(tagger, download);
    } catch {
      this.#hide(true); // without an answer there is nothing to offer
    }
  }

  destroy() {
    clearTimeout(this.#timer);
    this.#name = undefined;
  }

  #draw(tagger, download) {
    if (tagger === undefined || tagger.is_found) return this.#hide(true);
    const isMine = download?.name === tagger.name;
    this.#isLoading = isMine && download.is_running;
    this.text.textContent = isMine && download.error !== STOPPED ? told(download) : say("tagger.missing", tagger);
    this.text.title = this.text.textContent;
    this.bar.hidden = !this.#isLoading;
    this.bar.value = this.#isLoading ? download.done / Math.max(1, download.total) : 0;
    const megabytes = Math.round(tagger.megabytes);
    const offer = megabytes > 0 ? say("tagger.download", { megabytes }) : say("tagger.downloadUnknown");
    this.act.textContent = this.#isLoading ? say("tagger.stop") : offer;
    this.act.title = this.#isLoading ? "" : say("tagger.licence", tagger);
    this.#hide(false);
    if (this.#isLoading) this.#timer = setTimeout(() => this.check(this.#name), POLL_MILLISECONDS);
  }

  async #press() {
    try {
      if (this.#isLoading) await postJson("/lora_atelier/taggers/stop", {});
      else await postJson("/lora_atelier/taggers/download", { name: this.#name, mirror: downloadMirror() });
    } catch (problem) {
      notify("error", say("tagger.failed", { reason: problem.message }));
    }
    this.check(this.#name);
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
