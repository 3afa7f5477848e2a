/** What is asked of the server about one run, in more than one place. */

import { askForText, notify } from "../host/page.mjs";
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

/** Copy a kept LoRA to where Load LoRA lists it, under a name that is asked for.
 * @param {string} run @param {{epoch: number, step?: number}} save @param {string} suggested name */
export async function useSave(run, { epoch, step }, suggested) {
  const wanted = await askForText(say("use.title", { epoch }), say("use.name"), suggested);
  if (!wanted?.trim()) return;
  try {
    const { file } = await postJson("/lora_atelier/runs/use", { run, epoch, step, name: wanted.trim() });
    notify("success", say("use.done", { file }), say("use.where", { file }));
  } catch (problem) {
    notify("error", say("use.failed"), problem.message);
  }
}
