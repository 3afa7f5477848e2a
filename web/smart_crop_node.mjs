/** What Smart Crop shows below its widgets: the way into the crop editor, and how many windows are set by hand. */

import { openCropEditor } from "./crop_editor/editor.mjs";
import { readOverrides } from "./crop_editor/overrides.mjs";
import { markModified, nodeAt, placeOf } from "./host/graph.mjs";
import { addPanel, after, onWidgetChange, rememberOutput, setWidgetValue, widgetValue } from "./host/node.mjs";
import { button, make } from "./parts/element.mjs";
import { say } from "./words.mjs";

const BOARD = "lora_atelier_crops";
const HEIGHT = 70;

export class SmartCropPanel {
  /** @param {any} node that was just made */
  constructor(node) {
    this.node = node;
    this.summary = make("p.la-node-line", { role: "status" });
    this.element = make("div.la-node", {}, button(say("crops.edit"), () => this.edit()), this.summary);
    addPanel(node, "crops", this.element, () => HEIGHT);
    rememberOutput(node, BOARD, () => this.refresh());
    after(node, "onConfigure", () => this.refresh());
    onWidgetChange(node, "overrides", () => this.refresh());
    this.refresh();
  }

  refresh() {
    this.summary.textContent = this.#summarise();
  }

  edit() {
    const place = placeOf(this.node);
    openCropEditor({
      board: this.node.properties[BOARD] ?? null,
      overrides: this.#overrides,
      save: (overrides) => this.#save(nodeAt(place) ?? this.node, overrides),
    });
  }

  get #overrides() {
    return widgetValue(this.node, "overrides") ?? "";
  }

  #save(node, overrides) {
    setWidgetValue(node, "overrides", overrides);
    markModified();
    this.refresh();
  }

  #summarise() {
    try {
      const count = readOverrides(this.#overrides).size;
      if (count > 0) return say("crops.byHand", { count });
      return say(this.node.properties[BOARD] ? "crops.noneByHand" : "crops.notRun");
    } catch {
      return say("crops.unreadable");
    }
  }
}
