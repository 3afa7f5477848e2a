/** Which run a node trained last. */

import { executionIds, isInView, ownersOf, workflowId } from "../host/graph.mjs";
import { getJson, onReconnected, onServerEvent, postJson } from "../host/server.mjs";
import { FollowedRun } from "./followed_run.mjs";
import { nodesBefore } from "./graph_steps.mjs";

/** @typedef {import("./record.mjs").RunEvent} RunEvent */
/** @typedef {import("./record.mjs").RunRecord} RunRecord */

/** @type {Set<LiveRun>} */
const watching = new Set();

onServerEvent("lora_atelier.run", (event) => watching.forEach((live) => live.hear(event)));
onReconnected(findAgain);

/** A node has been given a run. Where that came from ComfyUI's cache, the node that trains it was not asked, and in a
 * workflow that never trained it nobody would know.
 * @param {any} node below one that trains @param {string} run */
export function takeRun(node, run) {
  const before = new Set(ownersOf(node).flatMap((owners) => nodesBefore({ node, owners })));
  for (const live of watching) if (before.has(live.node)) live.take(run);
}

/** Runs were deleted: nodes that show one of them show another one, or none. */
export function findAgain() {
  watching.forEach((live) => live.find());
}

export class LiveRun {
  /** @type {FollowedRun | null} */
  #followed = null;
  /** How often the run was asked for or told: answers to earlier questions are out of date. */
  #asked = 0;

  /** @param {any} node that trains @param {() => void} onChange */
  constructor(node, onChange) {
    this.node = node;
    this.onChange = onChange;
  }

  /** @returns {RunRecord | null} */
  get record() {
    return this.#followed?.record ?? null;
  }

  /** The node is in a graph. */
  begin() {
    watching.add(this);
    queueMicrotask(() => this.find()); // once the node has its id
  }

  /** Nothing more is to be shown. */
  stop() {
    watching.delete(this);
    this.#asked += 1;
    this.#followed?.leave();
    this.#followed = null;
  }

  /** Look for the newest run of this node; quietly, as most nodes have none. */
  async find() {
    if (!isInView(this.node)) return;
    const [asked, workflow] = [++this.#asked, workflowId()];
    for (const id of executionIds(this.node)) {
      const query = new URLSearchParams({ workflow, node: id });
      const found = await getJson(`/lora_atelier/runs/of?${query}`).catch(() => null);
      if (!found || asked !== this.#asked || workflow !== workflowId()) return; // without an answer: once there is one
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

  /** @param {RunEvent} event of whatever run; of its own it hears as one that follows it */
  hear(event) {
    if (event.run === this.record?.run || event.workflow !== workflowId() || !isInView(this.node)) return;
    if (!executionIds(this.node).includes(event.node)) return;
    this.#asked += 1;
    this.#follow(event.run);
    this.#followed.hear(event);
  }

  /** Its run was deleted, unless it has none. */
  #forget() {
    if (!this.record || this.record.isTraining) return;
    this.#followed.leave();
    this.#followed = null;
    this.onChange();
  }

  #follow(run) {
    if (run === this.record?.run) return this.#followed.read();
    this.#followed?.leave();
    this.#followed = new FollowedRun(run, this.onChange, () => {});
  }
}
