/** Below Epoch Sheet and Preview Sample: a button for each kept LoRA, which puts it where Load LoRA lists it. */

import { addPanel, after, refit, rememberOutput } from "./host/node.mjs";
import { askForText, notify } from "./host/page.mjs";
import { postJson } from "./host/server.mjs";
import { make } from "./parts/element.mjs";
import { takeRun } from "./runs/live.mjs";
import { say } from "./words.mjs";

/**
 * @typedef {object} KeptEpochs What the node leaves, and remembers in the workflow.
 * @property {string} run folder's name
 * @property {string} name of the LoRA
 * @property {KeptLora[]} epochs in order
 *
 * @typedef {{epoch: number, step?: number, loss: number | null, is_best: boolean}} KeptLora older workflows remember
 *   no step
 */

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
      takeRun(node, node.properties[KEPT].run);
    });
    after(node, "onConfigure", () => this.refresh());
    this.refresh();
  }

  refresh() {
    const kept = /** @type {KeptEpochs | undefined} */ (this.node.properties[KEPT]);
    if (kept === undefined) {
      this.buttons.replaceChildren(make("p.la-node-line", { text: say("use.notRun") }));
    } else {
      this.buttons.replaceChildren(...kept.epochs.map((saved) => this.#button(kept, saved)));
    }
    if (this.node.graph) refit(this.node);
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
      loss === null ? "" : say("use.loss", { loss: loss.toFixed(4) }),
    ];
    return make(
      "button.la-button.la-use-epoch",
      { title: say("use.hint", { epoch }), on: { click: () => this.#use(kept, saved) } },
      make("span", { text: say("use.epoch", { epoch }) }),
      isBest ? make("span.la-use-best", { text: say("use.best") }) : null,
      make("span.la-use-loss", { text: facts.filter(Boolean).join(" · ") }),
    );
  }

  /** @param {KeptEpochs} kept @param {KeptLora} saved */
  async #use({ run, name }, { epoch, step }) {
    const wanted = await askForText(say("use.title", { epoch }), say("use.name"), name);
    if (!wanted?.trim()) return;
    try {
      const { file } = await postJson("/lora_atelier/runs/use", { run, epoch, step, name: wanted.trim() });
      notify("success", say("use.done", { file }), say("use.where", { file }));
    } catch (problem) {
      notify("error", say("use.failed"), problem.message);
    }
  }
}
