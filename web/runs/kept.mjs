/**
 * The LoRAs of a run that a node offers to be used.
 *
 * @typedef {object} KeptEpochs What the node leaves, and remembers in the workflow.
 * @property {string} run folder's name
 * @property {string} name of the LoRA
 * @property {KeptLora[]} epochs in order
 *
 * @typedef {{epoch: number, step?: number, loss: number | null, is_best: boolean}} KeptLora older workflows remember
 *   no step
 */

/** What a workflow remembers, which may come from anywhere: a node that cannot be read would keep all of it from being
 * opened.
 * @param {any} value @returns {KeptEpochs | null} null where it is nothing of the kind */
export function readKept(value) {
  const isKept = typeof value?.run === "string" && typeof value.name === "string" && Array.isArray(value.epochs);
  return isKept && value.epochs.every(isLora) ? value : null;
}

function isLora(value) {
  const { epoch, step = 0, loss } = value ?? {};
  return [epoch, step, loss ?? 0].every(Number.isFinite);
}
