import assert from "node:assert/strict";
import test from "node:test";

import { app, graph } from "./page/page.mjs";

const { leaveLostNodes, whileInGraph } = await import("../../web/host/node.mjs");

/** A node as ComfyUI makes one, and what is under way for it. */
function made() {
  const node = { id: 1 };
  const told = [];
  whileInGraph(node, () => told.push("begun"), () => told.push("ended"));
  return { node: /** @type {any} */ (node), told };
}

test("nothing is begun for a copy that only goes to the clipboard", () => {
  assert.deepEqual(made().told, []);
});

test("what is begun for a node in a graph ends with it, once", () => {
  const { node, told } = made();
  node.onAdded();
  node.onAdded();
  node.onRemoved();
  node.onRemoved();
  assert.deepEqual(told, ["begun", "ended"]);
  node.onAdded();
  assert.deepEqual(told, ["begun", "ended", "begun"]);
  node.onRemoved();
});

test("it ends for a node in a subgraph of a workflow that was replaced, and for no other", () => {
  const [lost, inner, outer] = [made(), made(), made()];
  const before = graph("a-subgraph", [lost.node]);
  const after = graph("a-subgraph", [inner.node]);
  app.rootGraph = { ...graph("root", [outer.node]), subgraphs: new Map([["a-subgraph", before]]) };
  outer.node.graph = app.rootGraph;
  for (const { node } of [lost, inner, outer]) node.onAdded();
  app.rootGraph.subgraphs.set("a-subgraph", after);
  leaveLostNodes();
  leaveLostNodes();
  assert.deepEqual([lost, inner, outer].map(({ told }) => told.join()), ["begun,ended", "begun", "begun"]);
});
