/** ComfyUI's page for modules that are imported after this one. */

import { register } from "node:module";

import { ButtonElement, createElement } from "./elements.mjs";

register("./hooks.mjs", import.meta.url);

export * from "./stand_ins.mjs";

const createElementNS = () => createElement("svg");
Object.assign(globalThis, { document: { hidden: false, createElement, createElementNS }, HTMLButtonElement: ButtonElement });
const { setInterval: plainInterval } = globalThis;
/** One that keeps no test from ending. */
globalThis.setInterval = (...values) => {
  const timer = plainInterval(...values);
  timer.unref?.();
  return timer;
};
