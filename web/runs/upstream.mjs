/**
 * Where a training's pictures come from, as far as it can be told without running the graph.
 *
 * @typedef {{comfyClass: string, values: Record<string, any>, inputs: Map<string, Step | null>}} Step
 *   a node as it will be run: its widgets, and the nodes its links come from; null where a link cannot be followed, and
 *   none where ComfyUI sends nothing, as of a muted node
 * @typedef {{node: string, values?: Record<string, any>, datasets?: Source[]}} Source
 *   what the server makes a dataset of
 */

const LOAD = "LoraAtelierLoadDataset";
const CROP = "LoraAtelierSmartCrop";
const MERGE = "LoraAtelierMergeDatasets";
/** ComfyUI refuses a merge of fewer. */
const LEAST_TO_MERGE = 2;
/** They change no picture, no repeats and no window. */
const PASSING = new Set(["LoraAtelierAutoTag", "LoraAtelierCheckDataset"]);

/** @param {Step | null | undefined} step @returns {Source | null} null where it cannot be told */
export function sourceOf(step) {
  if (!step) return null;
  const before = (/** @type {string} */ name) => sourceOf(step.inputs.get(name));
  if (PASSING.has(step.comfyClass)) return before("dataset");
  if (step.comfyClass === LOAD) return isKnown(step.values) ? { node: LOAD, values: step.values } : null;
  if (step.comfyClass === CROP) {
    const dataset = before("dataset");
    return dataset && isKnown(step.values) ? { node: CROP, values: step.values, datasets: [dataset] } : null;
  }
  if (step.comfyClass === MERGE) {
    const datasets = [...step.inputs.keys()].map(before);
    return datasets.length >= LEAST_TO_MERGE && datasets.every(Boolean) ? { node: MERGE, datasets } : null;
  }
  return null;
}

/** @param {Record<string, any>} values of widgets; undefined where a link gives it @returns {boolean} */
export function isKnown(values) {
  return Object.values(values).every((value) => value !== undefined);
}
