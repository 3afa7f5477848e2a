/** End the run that is being trained, and keep what it has. */

import { notify } from "./host/page.mjs";
import { postJson } from "./host/server.mjs";
import { say } from "./words.mjs";

/** @param {string} [run] only this one; whichever is being trained if none is given */
export async function stopAndKeep(run) {
  try {
    const { name } = await postJson("/lora_atelier/runs/finish", run ? { run } : {});
    notify("info", say("run.finishing", { name }));
  } catch (problem) {
    notify("warn", say("run.notFinished", { reason: problem.message }));
  }
}
