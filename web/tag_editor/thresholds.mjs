/** Sliders for the tagger's thresholds. The captions follow while they move. */

import { notify } from "../host/page.mjs";
import { iconButton, slider } from "../parts/element.mjs";
import { say } from "../words.mjs";

const REST_MILLISECONDS = 150;

export class ThresholdSliders {
  #timer = 0;
  #lastAsked = 0;

  /** @param {import("./desk.mjs").Desk} desk @param {import("./board.mjs").Board} board
   * @param {import("./draft.mjs").Thresholds} saved those of the node */
  constructor(desk, board, saved) {
    this.desk = desk;
    this.board = board;
    this.saved = saved;
    const { general, character } = desk.effectiveThresholds;
    this.general = this.#slider(say("threshold"), general, (value) => ({ ...desk.thresholds, general: value }));
    this.character = this.#slider(say("characterThreshold"), character, (value) => ({
      ...desk.thresholds,
      character: value,
    }));
    this.reset = iconButton("reset", say("threshold.reset"), () => this.#set(saved));
    this.elements = [this.general.element, this.character.element, this.reset];
    const isAsRun = general === desk.content.threshold && character === desk.content.character_threshold;
    if (!isAsRun) this.#ask();
  }

  draw() {
    const { general, character } = this.desk.thresholds;
    this.reset.hidden = general === this.saved.general && character === this.saved.character;
  }

  #set(thresholds) {
    this.desk.setThresholds(thresholds);
    this.show();
  }

  /** Take over thresholds that were changed elsewhere. */
  show() {
    const { general, character } = this.desk.effectiveThresholds;
    this.general.set(general);
    this.character.set(character);
    this.#ask();
  }

  destroy() {
    clearTimeout(this.#timer);
  }

  #slider(label, value, change) {
    return slider({
      label, value, least: 0.05, most: 1, step: 0.01,
      show: (shown) => shown.toFixed(2),
      onInput: (next) => {
        this.desk.setThresholds(change(next));
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#ask(), REST_MILLISECONDS);
      },
    });
  }

  async #ask() {
    const asked = ++this.#lastAsked;
    const { general, character } = this.desk.effectiveThresholds;
    try {
      const { captions, kinds } = await this.board.captionsAt(general, character);
      if (asked === this.#lastAsked) this.desk.setAutomatic(captions, kinds);
    } catch (problem) {
      if (asked === this.#lastAsked) notify("error", say("threshold.failed", { reason: problem.message }));
    }
  }
}
