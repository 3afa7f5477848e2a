/** The size of a training before it is queued: what is asked of the server, and how its answer reads. */

import { duration, size as sizeText } from "./amounts.mjs";
import { isKnown, sourceOf } from "./upstream.mjs";

/** @typedef {import("./upstream.mjs").Step} Step */

const TRAIN_AGAIN = "LoraAtelierTrainAgain";
const NETWORK = "LoraAtelierLoraNetwork";

/** What the server needs to know; null where it cannot be told before a run.
 * @param {Step} step of a node that trains @param {string | null} run that it trained last
 * @returns {object | null} */
export function questionOf(step, run) {
  if (!isKnown(step.values)) return null;
  const dataset = sourceOf(step.inputs.get("dataset"));
  const pictures = dataset ? { dataset } : { run };
  if (!dataset && !run) return null;
  const { name, ...values } = step.values;
  if (step.comfyClass === TRAIN_AGAIN) return { ...pictures, again: values };
  if (!step.inputs.has("network")) return { ...pictures, train: values };
  const network = step.inputs.get("network");
  if (network?.comfyClass !== NETWORK || !isKnown(network.values)) return null;
  return { ...pictures, train: values, network: network.values };
}

/** "20 pictures × 10 repeats × 10 epochs ÷ batch 2 = 1,000 steps", then files, scale and time.
 * @param {{size: any, held_out: number, seconds: number | null}} answer
 * @param {(key: string, values?: Record<string, string | number>) => string} say
 * @returns {[string, string]} two lines */
export function arithmeticLines({ size, held_out, seconds }, say) {
  const { key, values } = seconds === null ? { key: "", values: {} } : duration(seconds);
  const files = [
    size.bytes_each === null
      ? say("arithmetic.saves", { count: size.saves })
      : say("arithmetic.savesOf", { count: size.saves, size: sizeText(size.bytes_each / 2 ** 20) }),
    typeof size.scale === "number" ? say("arithmetic.scale", { scale: Number(size.scale.toPrecision(3)) }) : "",
    seconds === null ? "" : say("arithmetic.time", { time: say(key, values) }),
    held_out > 0 ? say("arithmetic.heldOut", { count: held_out }) : "",
  ];
  return [stepsLine(size, say), files.filter(Boolean).join(" · ")];
}

function stepsLine(size, say) {
  const [least, most] = [size.repeats.at(0), size.repeats.at(-1)];
  const factors = [
    say("arithmetic.pictures", { count: size.pictures }),
    least === most ? say("arithmetic.repeats", { count: most }) : say("arithmetic.repeatsFrom", { least, most }),
  ];
  if (size.regularised) factors.push(say("arithmetic.regularised"));
  if (!size.counts_steps) factors.push(say("arithmetic.epochs", { count: size.epochs }));
  const batch = size.batch_size * size.accumulation;
  const shares = batch === 1 ? "" : ` ÷ ${say("arithmetic.batch", { batch })}`;
  const steps = say("arithmetic.steps", { count: size.steps });
  if (!size.counts_steps) return `${factors.join(" × ")}${shares} = ${steps}`;
  const epochs = say("arithmetic.epochs", { count: size.epochs });
  return `${factors.join(" × ")}${shares}: ${say("arithmetic.stepsIn", { steps, epochs })}`;
}
