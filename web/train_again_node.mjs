/** What Train Like a LoRA shows below its widgets. */

import { TrainingPanel } from "./runs/training_panel.mjs";

/** Of its arithmetic. */
const HEIGHT = 58;

export class TrainAgainPanel extends TrainingPanel {
  /** @param {any} node that was just made */
  constructor(node) {
    super(node, HEIGHT);
  }
}
