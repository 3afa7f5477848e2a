/**
 * A run's settings as rows of a table, in the groups of the plan.
 *
 * @typedef {{part: string, name: string, value: any, usual: any, isChanged: boolean}} PlanRow
 *   part: group of the plan, empty for what belongs to none; usual: the default
 */

/** The node that has a part's widgets, where it is not Train LoRA. */
const NODES = {
  adapter: "LoraAtelierLoraNetwork",
  weighting: "LoraAtelierNoiseAndLoss",
  noise: "LoraAtelierNoiseAndLoss",
  timesteps: "LoraAtelierNoiseAndLoss",
  captions: "LoraAtelierCaptionOptions",
  samples: "LoraAtelierSamples",
};
/** Widgets that have another name than the plan's field. */
const WIDGETS = {
  "optimizer.name": "optimizer", "schedule.name": "scheduler", "loss.kind": "loss", "loss.masked": "masked_loss",
  "noise.offset": "noise_offset", "noise.offset_random": "noise_offset_random", "timesteps.first": "first_timestep",
  "timesteps.last": "last_timestep", "timesteps.sampling": "timestep_sampling", "timesteps.bias": "timestep_bias",
  "text.weights": "prompt_weights", "precision.training": "precision", "precision.saving": "save_precision",
  "precision.base": "base_precision", "ema.decay": "ema_decay", "ema.warm_up": "ema_warm_up",
  "saving.every_epochs": "save_every_epochs", "saving.every_steps": "save_every_steps",
  "validation.every_epochs": "validate_every_epochs", "validation.seed": "validation_seed",
};

/** @param {any} plan @param {any} defaults of the same shape @returns {PlanRow[]} in the plan's order */
export function planRows(plan, defaults) {
  return Object.entries(plan).flatMap(([part, value]) =>
    isGroup(value)
      ? Object.entries(value).map(([name, inner]) => row(part, name, inner, defaults[part]?.[name]))
      : [row("", part, value, defaults[part])],
  );
}

function isGroup(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function row(part, name, value, usual) {
  return { part, name, value, usual, isChanged: JSON.stringify(value) !== JSON.stringify(usual) };
}

/** @param {PlanRow[]} rows @returns {[string, PlanRow[]][]} by part, in the order of the rows */
export function byPart(rows) {
  const parts = [...new Set(rows.map(({ part }) => part))];
  return parts.map((part) => [part, rows.filter((row) => row.part === part)]);
}

/** The name that a node has for a setting.
 * @param {PlanRow} row @param {Record<string, any>} nodes ComfyUI's translated node definitions, by type
 * @returns {string} its plain name where there is no other */
export function labelOf({ part, name }, nodes) {
  const inputs = nodes[NODES[part] ?? "LoraAtelierTrainLora"]?.inputs;
  return inputs?.[WIDGETS[`${part}.${name}`] ?? name]?.name ?? name.replaceAll("_", " ");
}
