import assert from "node:assert/strict";
import test from "node:test";

import { api, app, graph } from "./page/page.mjs";

const { rememberOutput } = await import("../../web/host/node.mjs");
const { giveKeptOutputs, sortOutputs } = await import("../../web/host/outputs.mjs");

const workflows = ["first", "second"].map((id) => {
  const node = /** @type {any} */ ({ id: 7, properties: {} });
  rememberOutput(node, "ours_board", () => {});
  return graph(id, [node]);
});
const [first, second] = workflows;
api.queuePrompt = async (number, { workflow }) => ({ prompt_id: `prompt of ${workflow.id}` });
sortOutputs("ours_");
api.addEventListener("executed", (/** @type {any} */ { detail }) => {
  app.rootGraph.getNodeById(detail.node).onExecuted(detail.output); // as ComfyUI does it
});

async function queue(workflow) {
  return (await api.queuePrompt(0, { output: {}, workflow: { id: workflow.id } })).prompt_id;
}

const boards = () => workflows.map(({ nodes: [node] }) => node.properties.ours_board);

test("what a node leaves is remembered by it, and not by that of another workflow with its number", async () => {
  app.rootGraph = first;
  const prompt = await queue(first);
  app.rootGraph = second;
  const detail = api.tell("executed", { prompt_id: prompt, node: "7", output: { ours_board: ["a"], images: [1] } });
  assert.deepEqual(detail.output, { images: [1] });
  assert.deepEqual(boards(), [undefined, undefined]);
  giveKeptOutputs();
  assert.deepEqual(boards(), [undefined, undefined]);
  app.rootGraph = first;
  giveKeptOutputs();
  assert.deepEqual(boards(), ["a", undefined]);
  first.nodes[0].properties = {};
  giveKeptOutputs();
  assert.deepEqual(boards(), [undefined, undefined], "it is given once");
});

test("in its own workflow, and where nobody knows whose it is, it is taken at once", async () => {
  app.rootGraph = second;
  const prompt = await queue(second);
  api.tell("executed", { prompt_id: prompt, node: "7", output: { ours_board: ["b"] } });
  assert.deepEqual(boards(), [undefined, "b"]);
  api.tell("executed", { prompt_id: "of another page", node: "7", output: { ours_board: ["c"] } });
  assert.deepEqual(boards(), [undefined, "c"]);
});

test("a node that is no longer there is given nothing", async () => {
  app.rootGraph = first;
  const prompt = await queue(first);
  app.rootGraph = second;
  api.tell("executed", { prompt_id: prompt, node: "7", display_node: "3:9", output: { ours_board: ["d"] } });
  app.rootGraph = first;
  giveKeptOutputs();
  assert.deepEqual(boards(), [undefined, "c"]);
});
