/** Where the page finds a picture that a run learns from. */

import { addressOf } from "../host/server.mjs";

/** @param {string} run @param {number} side pixels at most @param {string} [name] in the run's history; the first one
 * without it @returns {string} for an <img>; there is nothing where the file has moved or changed since */
export function pictureAddress(run, side, name) {
  const query = new URLSearchParams({ run, size: String(side) });
  if (name !== undefined) query.set("name", name);
  return addressOf(`/lora_atelier/runs/picture?${query}`);
}
