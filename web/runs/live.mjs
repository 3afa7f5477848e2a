/** Which run a node trained last, and how it goes: read from its folder, then kept up by what the server sends. */

import { executionIds, isInView, nodesAfter, workflowId } from "../host/graph.mjs";
import { getJson, onReconnected, onServerEvent } from "../host/server.mjs";
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
onReconnected(findRuns);
setInterval(() => followed.forEach((run) => run.wake()), SILENCE / 2);

/** What nodes below one that trains leave in the workflow says which run it was. */
export const KEPT = "lora_atelier_epochs";

/** Look anew for the newest run of every node that trains. */
export function findRuns() {
  followed.forEach((run) => run.find());
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

  /** Look for the newest run of this node; quietly, as most nodes have none. Where ComfyUI answers from its cache the
   * run is another workflow's, and only the nodes below know it. */
  async find() {
    if (!isInView(this.node)) return;
    const workflow = workflowId();
    for (const id of executionIds(this.node)) {
      const query = new URLSearchParams({ workflow, node: id });
      const found = await getJson(`/lora_atelier/runs/of?${query}`).catch(() => null);
      if (!found || workflow !== workflowId()) return; // the server will be asked again once it is there
      if (found.run) return this.#follow(found.run);
    }
    const left = nodesAfter(this.node).find((node) => node.properties?.[KEPT]);
    if (left) this.#follow(left.properties[KEPT].run);
    else this.#forget();
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
