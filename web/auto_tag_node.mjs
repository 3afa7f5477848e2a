/** What Auto Tag shows below its widgets: the way into the tag editor, what is edited, a tagger that is missing. */

import { markModified, nodeAt, placeOf } from "./host/graph.mjs";
import {
  addPanel, after, fitHeight, hideWidget, onWidgetChange, rememberOutput, setWidgetValue, whileInGraph, widgetValue,
} from "./host/node.mjs";
import { button, make } from "./parts/element.mjs";
import { hasDraft } from "./tag_editor/draft.mjs";
import { openEditor } from "./tag_editor/editor.mjs";
import { readEdits } from "./tag_editor/edits.mjs";
import { TaggerLine } from "./tagger_line.mjs";
import { say } from "./words.mjs";

const BOARD = "lora_atelier_board";
const BUTTON_HEIGHT = 34;
const LINE_HEIGHT = 24;

export class AutoTagPanel {
  /** @param {any} node that was just made */
  constructor(node) {
    this.node = node;
    hideWidget(node, "edits");
    this.summary = make("p.la-node-line", { role: "status" });
    this.tagger = new TaggerLine(() => widgetValue(node, "method"), () => this.#fit());
    const edit = button(say("node.edit"), () => this.edit());
    this.element = make("div.la-node", {}, edit, this.summary, this.tagger.element);
    addPanel(node, "tags", this.element, () => this.#height);
    rememberOutput(node, BOARD, () => this.refresh());
    after(node, "onConfigure", () => this.refresh());
    whileInGraph(node, () => this.tagger.begin(), () => this.tagger.stop());
    onWidgetChange(node, "method", () => this.tagger.check());
    this.refresh();
  }

  get #height() {
    return BUTTON_HEIGHT + LINE_HEIGHT * (1 + this.tagger.lines) + 12;
  }

  refresh() {
    const place = this.node.graph ? placeOf(this.node) : null;
    const isDraft = place !== null && hasDraft(place);
    this.summary.textContent = isDraft ? say("node.draft") : this.#summarise();
    this.summary.classList.toggle("la-unsaved", isDraft);
    this.tagger.check();
  }

  edit() {
    const { node } = this;
    const place = placeOf(node);
    openEditor({
      board: node.properties[BOARD] ?? null,
      place,
      edits: widgetValue(node, "edits") ?? "",
      thresholds: { general: chosen(node, "threshold"), character: chosen(node, "character_threshold") },
      save: (edits, thresholds) => this.#save(nodeAt(place) ?? node, edits, thresholds),
      onClose: () => this.refresh(),
    });
  }

  #save(node, edits, { general, character }) {
    setWidgetValue(node, "edits", edits);
    setWidgetValue(node, "threshold", general ?? 0);
    setWidgetValue(node, "character_threshold", character ?? 0);
    markModified();
    this.refresh();
  }

  #summarise() {
    try {
      const count = readEdits(widgetValue(this.node, "edits") ?? "").size;
      if (count > 0) return say("node.edited", { count });
      return say(this.node.properties[BOARD] ? "node.noEdits" : "node.notRun");
    } catch {
      return say("node.unreadable");
    }
  }

  #fit() {
    if (this.node.graph) fitHeight(this.node);
  }
}

/** @returns {number | null} null for 0, which is the tagger's own */
function chosen(node, widget) {
  return Number(widgetValue(node, widget)) || null;
}
