import assert from "node:assert/strict";
import test from "node:test";

import { api, app, graph, settings, toasts } from "./page/page.mjs";

const { nodeOf, rootGraph } = await import("../../web/host/graph.mjs");
const { tellErrors, translateLines } = await import("../../web/host/errors.mjs");

const inner = { id: 1, comfyClass: "OursTrain", title: "Train my cat" };
const other = { id: 2, comfyClass: "Theirs", title: "Theirs" };
const owner = { id: 3, comfyClass: "a-uuid", title: "Subgraph", subgraph: graph("a-uuid", [inner, other]) };
app.rootGraph = graph("root", [owner, { id: 4, comfyClass: "OursLoad", title: "My folder" }]);
globalThis.LiteGraph = { registered_node_types: { OursTrain: { title: "Train LoRA" } } };
tellErrors("Ours");
translateLines("Ours");

function toastOf(id, type) {
  toasts.length = 0;
  api.tell("execution_error", { node_id: id, node_type: type, exception_message: "what happened.\n" });
  return toasts.map(({ summary, detail }) => `${summary}: ${detail}`);
}

test("a node is found by the id that the server runs it under, in a subgraph too", () => {
  assert.equal(nodeOf("3:1"), inner);
  assert.equal(nodeOf(3), owner);
  assert.equal(nodeOf("4:1"), undefined);
  assert.equal(nodeOf("3:9"), undefined);
  assert.equal(rootGraph(), app.rootGraph);
});

test("an error in a subgraph is told under the title of the node in it", () => {
  assert.deepEqual(toastOf("3:1", "OursTrain"), ["Train my cat: what happened."]);
  assert.deepEqual(toastOf("3:2", "Theirs"), []);
});

test("an error of a workflow that is not in view is not told under the title of another node", () => {
  assert.deepEqual(toastOf("4", "OursTrain"), ["Train LoRA: what happened."]);
  assert.deepEqual(toastOf("99", "OursUnknown"), ["OursUnknown: what happened."]);
});

test("lines below our nodes are translated, in a subgraph too; those of others are left alone", () => {
  settings["Comfy.Locale"] = "zh";
  const shown = (/** @type {string} */ nodeId) => api.tell("progress_text", { nodeId, text: "• cut short\n• x" }).text;
  assert.equal(shown("3:1"), "• 不完整\n• x");
  assert.equal(shown("4"), "• 不完整\n• x");
  assert.equal(shown("3:2"), "• cut short\n• x");
  settings["Comfy.Locale"] = "en";
});
