/** Tags as chips, coloured by kind. */

import { icon, make } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { plainTag } from "./captions.mjs";

/** @typedef {import("./desk.mjs").Desk} Desk */

/** @param {Desk} desk @param {string} tag */
function kindOf(desk, tag) {
  return desk.kinds.get(plainTag(tag)) ?? "other";
}

/** @param {Desk} desk @param {string} tag @param {string[]} looks such as "added" @param {...(Node | null)} inside
 * after the text */
export function chip(desk, tag, looks, ...inside) {
  const text = make("span.la-chip-text", { text: tag });
  const node = make("span.la-chip", { "data-kind": kindOf(desk, tag) }, text, ...inside);
  node.classList.add(...looks.map((look) => `la-${look}`));
  return node;
}

/** The trigger word: it comes from the node and cannot be taken out here.
 * @param {Desk} desk @param {string} tag */
export function triggerChip(desk, tag) {
  const node = chip(desk, tag, ["trigger"], icon("lock"));
  node.title = say("picture.trigger");
  return node;
}
