/** The workflow in view: its nodes, where they are run, that it changed. */

import { app } from "../../../scripts/app.js";

/** @returns {any} the whole workflow in view, also while a subgraph of it is */
export function rootGraph() {
  return app.rootGraph ?? app.graph;
}

/** @param {string} type @returns {any[]} selected nodes of that type, or all in view if none is selected */
export function chosenNodes(type) {
  const isWanted = (/** @type {any} */ node) => node.comfyClass === type;
  const selected = Object.values(app.canvas.selected_nodes ?? {}).filter(isWanted);
  return selected.length > 0 ? selected : app.canvas.graph.nodes.filter(isWanted);
}

/** The same for the same node in the same workflow, also after a reload.
 * @param {any} node */
export function placeOf(node) {
  const root = rootGraph();
  const inner = node.graph && node.graph !== root ? `${node.graph.id}:` : "";
  return `${root.id}:${inner}${node.id}`;
}

/** @param {string} place @returns {any} the node that is there now: undoing makes all nodes anew */
export function nodeAt(place) {
  const graphs = [rootGraph(), ...(rootGraph().subgraphs?.values() ?? [])];
  return graphs.flatMap((graph) => graph.nodes).find((node) => placeOf(node) === place);
}

/** @returns {string} of the workflow in view, as its runs are marked with */
export function workflowId() {
  return rootGraph().id;
}

/** @param {any} node @returns {boolean} whether it is a part of the workflow in view */
export function isInView(node) {
  return node.graph?.getNodeById(node.id) === node && ownersOf(node).length > 0;
}

/** @param {any} node @returns {boolean} whether its graph is one of the workflow in view, used or not */
export function isKept({ graph }) {
  return graph === rootGraph() || rootGraph().subgraphs?.get(graph?.id) === graph;
}

/** Where a node is run: the nodes of subgraphs that lead to it, from the outermost in; one path for each use of a
 * subgraph that is used several times.
 * @param {any} node @param {any} [graph] to look in
 * @returns {any[][]} one empty path for a node outside of subgraphs */
export function ownersOf(node, graph = rootGraph()) {
  if (node.graph === graph) return [[]];
  const inner = graph.nodes.filter((/** @type {any} */ one) => one.isSubgraphNode?.());
  return inner.flatMap((owner) => ownersOf(node, owner.subgraph).map((path) => [owner, ...path]));
}

/** What the server calls a node when it runs it, such as "4" or "3:4" in a subgraph.
 * @param {any} node @returns {string[]} several where its subgraph is used several times */
export function executionIds(node) {
  return ownersOf(node).map((path) => [...path, node].map(({ id }) => id).join(":"));
}

/** The node that the server calls so, subgraphs too.
 * @param {string | number} id of a node as it is run, such as "4" or "3:4" @returns {any} undefined where the workflow in
 * view has none */
export function nodeOf(id) {
  const [first, ...inner] = String(id).split(":");
  return inner.reduce((node, next) => node?.subgraph?.getNodeById(next), rootGraph()?.getNodeById(first)) ?? undefined;
}

/** @param {string} type of nodes @returns {string} what they are called in the user's language */
export function titleOf(type) {
  return /** @type {any} */ (globalThis).LiteGraph?.registered_node_types[type]?.title ?? type;
}

/** Tell ComfyUI that the workflow changed: outside the canvas it does not look. */
export function markModified() {
  const changes = tracker();
  if (changes?.captureCanvasState) changes.captureCanvasState();
  else changes?.checkState?.();
}

/** @returns {boolean} whether ComfyUI is undoing or redoing something, for which it makes all nodes anew */
export function isUndoing() {
  return tracker()?._restoringState === true;
}

/** Keep ComfyUI from undoing while something covers the graph; some versions do not look.
 * @param {() => boolean} isCovered @returns {() => void} let it again */
export function holdUndo(isCovered) {
  const held = tracker();
  if (!held?.undoRedo) return () => {};
  const { undoRedo } = held;
  held.undoRedo = async function (...keys) {
    return isCovered() || undoRedo.apply(this, keys);
  };
  return () => (held.undoRedo = undoRedo);
}

/** Open a workflow in a tab of its own, as one that is not saved yet.
 * @param {any} workflow @param {string} name */
export function openWorkflow(workflow, name) {
  return app.loadGraphData(workflow, true, true, freeName(name));
}

/** ComfyUI would take a saved workflow of that name for the one that is opened, and save it there. */
function freeName(name) {
  const { workflow } = app.extensionManager;
  const isTaken = (/** @type {string} */ one) => workflow?.getWorkflowByPath?.(`workflows/${one}.json`);
  let [free, number] = [name, 1];
  while (isTaken(free)) free = `${name} (${++number})`;
  return free;
}

function tracker() {
  return app.extensionManager.workflow?.activeWorkflow?.changeTracker;
}
