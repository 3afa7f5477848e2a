/** What Train LoRA shows below its widgets: presets to start from, what was changed since one was applied, and how its
 * training goes. */

import { markModified } from "./host/graph.mjs";
import { after, markWidget, onWidgetChange, setWidgetValue, widgetValue } from "./host/node.mjs";
import { locale } from "./host/page.mjs";
import { getJson, nodeNames } from "./host/server.mjs";
import { button, make } from "./parts/element.mjs";
import { changedSince, choicesOf, explained, listed, presetOf } from "./presets.mjs";
import { TrainingPanel } from "./runs/training_panel.mjs";
import { say } from "./words.mjs";
import { phrase } from "./words/phrases.mjs";

/** @typedef {import("./presets.mjs").Preset} Preset */

const TRAIN_LORA = "LoraAtelierTrainLora";
/** Nodes that presets need something of, by their English names. */
const OTHERS = {
  "Smart Crop": "LoraAtelierSmartCrop",
  "Noise and Loss": "LoraAtelierNoiseAndLoss",
  "Caption Options": "LoraAtelierCaptionOptions",
};
/** Where the node keeps which preset was applied. */
const APPLIED = "lora_atelier_preset";
/** Of the presets and the arithmetic. */
const HEIGHT = 128;
const FIRST = { subject: "anime character", family: "SD1.5", memory: 12 };

/** @type {Promise<{presets: Preset[]}> | undefined} */
let asked;
/** @type {Promise<Record<string, any>> | undefined} */
let named;

export class TrainLoraPanel {
  #presets = /** @type {Preset[]} */ ([]);
  /** What widgets are called, by type of node. */
  #names = /** @type {Record<string, any>} */ ({});
  #isApplying = false;

  /** @param {any} node that was just made */
  constructor(node) {
    this.node = node;
    this.subject = this.#select("preset.subject");
    this.family = this.#select("preset.family");
    this.memory = this.#select("preset.memory");
    this.act = button(say("preset.apply"), () => this.#apply());
    this.lines = make("div.la-lines", { role: "status" });
    const selects = make("div.la-selects", {}, this.subject, this.family, this.memory);
    this.training = new TrainingPanel(node, HEIGHT, selects, this.act, this.lines);
    after(node, "onConfigure", () => this.restore());
    this.#load();
  }

  refresh() {
    this.restore();
    this.training.refresh();
  }

  /** Choose what the workflow says was applied. */
  restore() {
    const applied = this.node.properties[APPLIED];
    if (applied) this.#offer(applied);
    this.#draw();
  }

  async #load() {
    this.act.disabled = true;
    try {
      asked ??= getJson("/lora_atelier/presets");
      named ??= nodeNames();
      this.#presets = (await asked).presets;
      this.#names = await named;
    } catch (problem) {
      asked = undefined; // the next node asks again
      return this.#show([[say("preset.failed", { reason: problem.message }), ""]]);
    }
    this.act.disabled = false;
    this.#watch();
    this.#offer(FIRST);
    this.restore();
  }

  #apply() {
    const preset = presetOf(this.#presets, this.#choice);
    if (!preset) return;
    const { subject, family, memory } = preset;
    this.#isApplying = true;
    for (const [name, value] of Object.entries(preset.fields)) setWidgetValue(this.node, name, value);
    this.#isApplying = false;
    this.node.properties[APPLIED] = { subject, family, memory };
    markModified();
    this.#draw();
  }

  #draw() {
    const applied = this.node.properties[APPLIED];
    const preset = applied && presetOf(this.#presets, applied);
    const changed = preset ? changedSince(preset, (name) => widgetValue(this.node, name)) : [];
    for (const name of this.#widgets) markWidget(this.node, name, changed.includes(name));
    if (!preset) return this.#show([]);
    const words = this.#wordsOf(TRAIN_LORA);
    const needs = Object.entries(preset.needs).map(([node, settings]) =>
      say(`needs.${node}`, { settings: listed(settings, this.#wordsOf(OTHERS[node])) }),
    );
    const widgets = changed.map(words.widget).join(", ");
    this.#show([
      [say("preset.set", { settings: listed(preset.fields, words) }), explained(preset, words)],
      ...needs.map((need) => [need, need]),
      ...(changed.length > 0 ? [[say("preset.changed", { widgets }), "", ".la-unsaved"]] : []),
    ]);
  }

  /** @param {string} type of a node @returns {import("./presets.mjs").Words} */
  #wordsOf(type) {
    return {
      widget: (name) => this.#names[type]?.inputs?.[name]?.name ?? name,
      reason: (text) => phrase(text, locale()),
      on: say("view.on"),
      off: say("view.off"),
    };
  }

  /** @param {string[][]} lines text, tooltip (the text itself where it is empty) and class of each */
  #show(lines) {
    this.lines.replaceChildren(
      ...lines.map(([text, title, look = ""]) => make(`p.la-node-line${look}`, { text, title: title || text })),
    );
  }

  #watch() {
    for (const name of this.#widgets) {
      onWidgetChange(this.node, name, () => this.#isApplying || this.#draw());
    }
  }

  /** Those that presets set. */
  get #widgets() {
    return Object.keys(this.#presets[0]?.fields ?? {});
  }

  get #choice() {
    return { subject: this.subject.value, family: this.family.value, memory: Number(this.memory.value) };
  }

  /** Fill the three lists and choose; a memory that the family has no preset for becomes the next larger one. */
  #offer(choice) {
    const { subjects, families, memories } = choicesOf(this.#presets, choice.family);
    const preset = presetOf(this.#presets, choice);
    if (!preset) return;
    fill(this.subject, subjects.map((subject) => [subject, say(`subject.${subject}`)]), preset.subject);
    fill(this.family, families.map((family) => [family, family]), preset.family);
    fill(this.memory, memories.map((memory) => [String(memory), `${memory} GB`]), String(preset.memory));
  }

  #select(label) {
    const change = () => this.#offer(this.#choice);
    return make("select.la-select", { "aria-label": say(label), title: say(label), on: { change } });
  }
}

/** @param {HTMLSelectElement} select @param {string[][]} options value and text of each @param {string} chosen */
function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => make("option", { value, text })));
  select.value = chosen;
}
