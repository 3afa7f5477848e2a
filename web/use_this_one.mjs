/** Below Epoch Sheet and Preview Sample: a button for each kept LoRA, which puts it where Load LoRA lists it. */

import { addPanel, after, clearPreview, fitHeight, rememberOutput } from "./host/node.mjs";
import { make } from "./parts/element.mjs";
import { readKept } from "./runs/kept.mjs";
import { takeRun } from "./runs/live.mjs";
import { useSave } from "./runs/requests.mjs";
import { say } from "./words.mjs";

/** @typedef {import("./runs/kept.mjs").KeptEpochs} KeptEpochs @typedef {import("./runs/kept.mjs").KeptLora} KeptLora */

const KEPT = "lora_atelier_epochs";
const LINE_HEIGHT = 32;
const MOST_LINES = 4;
/** What the canvas leaves around an element, above and below together. */
const MARGIN = 20;

export class UsePanel {
  /** @param {any} node that was just made */
  constructor(node) {
    this.node = node;
    this.buttons = make("div.la-use");
    this.element = make("div.la-node", {}, this.buttons);
    addPanel(node, "use", this.element, () => this.#height);
    rememberOutput(node, KEPT, () => {
      this.refresh();
      if (this.#kept) takeRun(node, this.#kept.run);
    });
    after(node, "onConfigure", () => this.refresh());
    after(node, "onExecuted", () => clearPreview(node));
    this.refresh();
  }

  refresh() {
    const kept = this.#kept;
    if (kept === null) {
      this.buttons.replaceChildren(make("p.la-node-line", { text: say("use.notRun") }));
    } else {
      this.buttons.replaceChildren(...kept.epochs.map((saved) => this.#button(kept, saved)));
    }
    if (this.node.graph) fitHeight(this.node);
  }

  get #kept() {
    return readKept(this.node.properties[KEPT]);
  }

  get #height() {
    return LINE_HEIGHT * Math.min(MOST_LINES, this.buttons.childElementCount) + MARGIN;
  }

  /** @param {KeptEpochs} kept @param {KeptLora} saved */
  #button(kept, saved) {
    const { epoch, step, loss, is_best: isBest } = saved;
    const isOnly = kept.epochs.filter((one) => one.epoch === epoch).length === 1;
    const facts = [
      isOnly || step === undefined ? "" : say("live.stepShort", { step }),
      loss == null ? "" : say("use.loss", { loss: loss.toFixed(4) }),
    ];
    return make(
      "button.la-button.la-use-epoch",
      { title: say("use.hint", { epoch }), on: { click: () => useSave(kept.run, saved, kept.name) } },
      make("span", { text: say("use.epoch", { epoch }) }),
      isBest ? make("span.la-use-best", { text: say("use.best") }) : null,
      make("span.la-use-loss", { text: facts.filter(Boolean).join(" · ") }),
    );
  }
}
