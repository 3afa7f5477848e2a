/** What Train Like a LoRA shows below its widgets. */

import { TrainingPanel } from "./runs/training_panel.mjs";

/** Of its arithmetic. */
const HEIGHT = 58;

/** @type {WeakMap<object, TrainingPanel>} */
const panels = new WeakMap();

/** @param {any} node that was just made */
export function equip(node) {
  panels.set(node, new TrainingPanel(node, HEIGHT));
}

/** @param {any} node whose values were read from a workflow */
export function refresh(node) {
  panels.get(node)?.restore();
}
