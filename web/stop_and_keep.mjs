/** End the run that is being trained, and keep what it has. */

import { notify, postJson } from "./host.mjs";
import { say } from "./words.mjs";

export async function stopAndKeep() {
  try {
    const { name } = await postJson("/lora_atelier/runs/finish", {});
    notify("info", say("run.finishing", { name }));
  } catch (problem) {
    notify("warn", say("run.notFinished", { reason: problem.message }));
  }
}
