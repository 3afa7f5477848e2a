/** How our nodes look when they are made: as wide as their texts need, rare settings folded away, sockets in colours. */

import { foldAdvanced, setWidth } from "./host/node.mjs";
import { colourSockets } from "./host/page.mjs";
import { say } from "./words.mjs";

const OURS = /^LoraAtelier/;
const WIDTH = 320;
/** Of nodes that show sentences or pictures. */
const WIDTHS = { LoraAtelierAutoTag: 420, LoraAtelierTrainLora: 420, LoraAtelierTrainAgain: 420 };

/** What flows from node to node, and what is set beside Train LoRA: mid tones, seen on dark and on light. */
const COLOURS = {
  LORA_ATELIER_DATASET: "#26a69a",
  LORA_ATELIER_LORA: "#ec6b9b",
  LORA_ATELIER_NETWORK: "#7e8ce0",
  LORA_ATELIER_NOISE_AND_LOSS: "#b07fd6",
  LORA_ATELIER_CAPTION_OPTIONS: "#d69a3c",
  LORA_ATELIER_SAMPLES: "#5aa9d6",
};

export function paintSockets() {
  colourSockets(COLOURS);
}

/** @param {any} node that was just made, before anything is added to it */
export function fold(node) {
  if (OURS.test(node.comfyClass)) foldAdvanced(node, (isFolded) => say(isFolded ? "node.unfold" : "node.fold"));
}

/** @param {any} node that was just made, with everything it shows */
export function widen(node) {
  if (OURS.test(node.comfyClass)) setWidth(node, WIDTHS[node.comfyClass] ?? WIDTH);
}
