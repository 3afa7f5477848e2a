/** Which run a node trained last, and how it goes: read from its folder, then kept up by what the server sends. */

import { executionIds, isInView, ownersOf, workflowId } from "../host/graph.mjs";
import { getJson, onReconnected, onServerEvent, postJson } from "../host/server.mjs";
import { nodesBefore } from "./graph_steps.mjs";
import { Reading } from "./reading.mjs";
import { RunRecord } from "./record.mjs";
import { readHistory } from "./requests.mjs";

/** @typedef {import("./record.mjs").RunEvent} RunEvent */

/** Milliseconds without a word, after which a run that is being trained is asked for: under --multi-user the server
 * tells only the page that queued it. */
const SILENCE = 10_000;

/** @type {Set<LiveRun>} */
const followed = new Set();

onServerEvent("lora_atelier.run", (event) => followed.forEach((run) => run.hear(event)));
onReconnected(() => followed.forEach((run) => run.find()));
setInterval(() => followed.forEach((run) => run.wake()), SILENCE / 2);

/** A node has been given a run. Where that came from ComfyUI's cache, the node that trains it was not asked, and in a
 * workflow that never trained it nobody would know.
 * @param {any} node below one that trains @param {string} run */
export function takeRun(node, run) {
  const before = new Set(ownersOf(node).flatMap((owners) => nodesBefore({ node, owners })));
  for (const live of followed) if (before.has(live.node)) live.take(run);
}

export class LiveRun {
  #reading = new Reading(() => this.#read());
  #heardAt = 0;

  /** @param {any} node that trains @param {() => void} onChange */
  constructor(node, onChange) {
    this.node = node;
    this.onChange = onChange;
    this.record = /** @type {RunRecord | null} */ (null);
    followed.add(this);
  }

  /** Nothing more is to be shown. */
  leave() {
    followed.delete(this);
    this.#reading.stop();
  }

  /** Look for the newest run of this node; quietly, as most nodes have none. */
  async find() {
    if (!isInView(this.node)) return;
    const workflow = workflowId();
    for (const id of executionIds(this.node)) {
      const query = new URLSearchParams({ workflow, node: id });
      const found = await getJson(`/lora_atelier/runs/of?${query}`).catch(() => null);
      if (!found || workflow !== workflowId()) return; // the server will be asked again once it is there
      if (found.run) return this.#follow(found.run);
    }
    this.#forget();
  }

  /** @param {string} run that was answered from ComfyUI's cache, unless the node has one of its own */
  async take(run) {
    if (this.record) return;
    const [node] = executionIds(this.node);
    await postJson("/lora_atelier/runs/shown", { workflow: workflowId(), node, run }).catch(() => null);
    await this.find();
  }

  /** @param {RunEvent} event of whatever run */
  hear(event) {
    if (event.workflow !== workflowId() || !isInView(this.node)) return;
    if (!executionIds(this.node).includes(event.node)) return;
    this.#heardAt = Date.now();
    if (this.record?.run !== event.run) this.record = new RunRecord(event.run);
    if (this.record.take(event)) this.#reading.again();
    this.onChange();
  }

  wake() {
    if (!document.hidden && this.record?.isTraining && Date.now() - this.#heardAt > SILENCE) this.#reading.again();
  }

  /** Its run was deleted, unless it has none. */
  #forget() {
    if (!this.record || this.record.isTraining) return;
    this.record = null;
    this.onChange();
  }

  #follow(run) {
    if (this.record?.run !== run) this.record = new RunRecord(run);
    this.#reading.again();
  }

  async #read() {
    const { record } = this;
    if (!record) return;
    const history = await readHistory(record.run).catch(() => null);
    if (!history || this.record !== record) return; // the run's folder is not there yet, or no more
    record.read(history);
    this.onChange();
  }
}
