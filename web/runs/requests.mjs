/** What is asked of the server about one run, in more than one place. */

import { notify } from "../host/page.mjs";
import { getJson, postJson } from "../host/server.mjs";
import { say } from "../words.mjs";

/** @param {string} run @returns {Promise<any>} what its folder tells
 * @throws {import("../host/server.mjs").ServerError} it is not there, or not yet */
export function readHistory(run) {
  return getJson(`/lora_atelier/runs/history?${new URLSearchParams({ run })}`);
}

/** Have samples drawn, or the LoRA saved, before the training goes on.
 * @param {"sample" | "save"} what @param {string} run that is being trained */
export async function askFor(what, run) {
  try {
    await postJson(`/lora_atelier/runs/${what}`, { run });
    notify("info", say(what === "sample" ? "live.sampling" : "live.saving"));
  } catch (problem) {
    notify("warn", say("live.refused", { reason: problem.message }));
  }
}
