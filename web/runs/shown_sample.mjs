/** Where the page finds a sample of a run, and what it calls it. */

import { addressOf } from "../host/server.mjs";
import { say } from "../words.mjs";

/** @param {string} run @param {{epoch: number, number: number, step?: number}} sample
 * @param {number} [side] pixels at most; whole without it
 * @returns {string} for an <img> */
export function sampleAddress(run, { epoch, number, step }, side) {
  const query = new URLSearchParams({ run, epoch: String(epoch), number: String(number) });
  if (side !== undefined) query.set("side", String(side));
  if (step !== undefined) query.set("step", String(step)); // another picture once the run starts anew
  return addressOf(`/lora_atelier/runs/sample?${query}`);
}

/** @param {number} epoch @returns {string} */
export function epochName(epoch) {
  return epoch === 0 ? say("live.before") : say("live.epochShort", { epoch });
}
