import assert from "node:assert/strict";
import { test } from "node:test";

import { questionOf } from "../../web/runs/arithmetic.mjs";
import { nodesBefore, stepAt } from "../../web/runs/graph_steps.mjs";

const BYPASSED = 4;
const MUTED = 2;
const DATASET = "LORA_ATELIER_DATASET";

/** A graph as ComfyUI's page holds it, as far as it is looked at. */
class Graph {
  nodes = [];
  links = new Map();

  /** @param {string} comfyClass @param {Record<string, any>} [values] @param {object} [more] */
  add(comfyClass, values = {}, more = {}) {
    const widgets = Object.entries(values).map(([name, value]) => ({ name, value }));
    const outputs = [{ type: DATASET }];
    const node = { id: this.nodes.length + 1, comfyClass, widgets, inputs: [], outputs, graph: this, mode: 0, ...more };
    this.nodes.push(node);
    return node;
  }

  link(from, to, name = "dataset", more = {}) {
    const id = this.links.size + 1;
    this.links.set(id, { origin_id: from.id, origin_slot: 0, originIsIoNode: false, ...more });
    const isWidget = to.widgets.some((one) => one.name === name);
    to.inputs.push({ name, type: DATASET, link: id, ...(isWidget && { widget: { name } }) });
    return id;
  }

  getLink(id) {
    return this.links.get(id);
  }

  getNodeById(id) {
    return this.nodes.find((node) => node.id === id) ?? null;
  }
}

const ask = (node, run = null, owners = []) => /** @type {any} */ (questionOf(stepAt({ node, owners }), run));
const LOADED = { node: "LoraAtelierLoadDataset", values: { folder: "input/a", repeats: 10 } };
const CROPPED = { node: "LoraAtelierSmartCrop", values: { width: 512 }, datasets: [LOADED] };

function usual() {
  const graph = new Graph();
  const load = graph.add("LoraAtelierLoadDataset", { folder: "input/a", repeats: 10 });
  const crop = graph.add("LoraAtelierSmartCrop", { width: 512 });
  const tag = graph.add("LoraAtelierAutoTag", { method: "wd" });
  const train = graph.add("LoraAtelierTrainLora", { name: "mochi", rank: 16 });
  graph.link(load, crop);
  graph.link(crop, tag);
  graph.link(tag, train);
  return { graph, load, crop, tag, train };
}

test("a training's pictures are found through the nodes that change none of them", () => {
  assert.deepEqual(ask(usual().train), { dataset: CROPPED, train: { rank: 16 } });
});

test("every dataset of a merge is found, and one that is not known makes the whole unknown", () => {
  const { graph, tag, train } = usual();
  const merge = graph.add("LoraAtelierMergeDatasets");
  graph.link(tag, merge, "datasets.dataset0");
  graph.link(tag, merge, "datasets.dataset1");
  train.inputs = [];
  graph.link(merge, train);
  assert.deepEqual(ask(train).dataset, { node: "LoraAtelierMergeDatasets", datasets: [CROPPED, CROPPED] });
  graph.link(graph.add("LoraAtelierImagesToDataset"), merge, "datasets.dataset2");
  assert.equal(ask(train), null);
});

test("what cannot be followed is taken from the last run, or asked for", () => {
  const { load, train } = usual();
  load.comfyClass = "LoraAtelierImagesToDataset";
  assert.equal(ask(train), null);
  assert.deepEqual(ask(train, "mochi-1"), { run: "mochi-1", train: { rank: 16 } });
});

test("reroutes and bypassed nodes are passed, muted ones end the way", () => {
  const { graph, crop, tag, train } = usual();
  tag.mode = BYPASSED;
  const reroute = graph.add(undefined, {}, { isVirtualNode: true });
  train.inputs = [];
  graph.link(tag, reroute, "");
  graph.link(reroute, train);
  assert.deepEqual(ask(train).dataset, CROPPED);
  crop.mode = BYPASSED;
  assert.deepEqual(ask(train).dataset, LOADED);
  crop.mode = MUTED;
  assert.equal(ask(train), null);
});

test("a widget that a primitive gives has its value, one that another node computes has none", () => {
  const { graph, load, train } = usual();
  const primitive = graph.add("PrimitiveInt", { value: 7 });
  graph.link(primitive, load, "repeats");
  assert.equal(ask(train).dataset.datasets[0].values.repeats, 7);
  graph.link(graph.add("Anything"), primitive, "value");
  assert.equal(ask(train), null);
});

test("pictures are found inside a subgraph, and from inside of one", () => {
  const { graph, tag, train } = usual();
  const inside = new Graph();
  const innerTag = inside.add("LoraAtelierAutoTag");
  inside.link({ id: -10 }, innerTag, "dataset", { originIsIoNode: true });
  const subgraph = { ...inside, getNodeById: (id) => inside.getNodeById(id), outputNode: { slots: [{
    getLinks: () => [{ origin_id: innerTag.id, origin_slot: 0, originIsIoNode: false }],
  }] } };
  const owner = graph.add(undefined, {}, { isSubgraphNode: () => true, subgraph });
  graph.link(tag, owner);
  train.inputs = [];
  graph.link(owner, train);
  assert.deepEqual(ask(train).dataset, CROPPED);
  const innerTrain = inside.add("LoraAtelierTrainLora", { rank: 4 });
  inside.link({ id: -10 }, innerTrain, "dataset", { originIsIoNode: true });
  assert.deepEqual(ask(innerTrain, null, [owner]), { dataset: CROPPED, train: { rank: 4 } });
});

test("the network decides the size of the files, unless nobody knows what it is", () => {
  const { graph, train } = usual();
  const network = graph.add("LoraAtelierLoraNetwork", { kind: "lokr" });
  graph.link(network, train, "network");
  assert.deepEqual(ask(train).network, { kind: "lokr" });
  network.comfyClass = "Anything";
  assert.equal(ask(train), null);
});

for (const [way, mode] of /** @type {const} */ ([["muted", MUTED], ["bypassed", BYPASSED]])) {
  test(`a network that is ${way} is not sent: a plain LoRA is trained`, () => {
    const { graph, train } = usual();
    const network = graph.add("LoraAtelierLoraNetwork", { kind: "lokr" }, { mode, outputs: [{ type: "LORA_ATELIER_NETWORK" }] });
    graph.link(network, train, "network");
    assert.deepEqual(ask(train), { dataset: CROPPED, train: { rank: 16 } });
    train.inputs.shift(); // the dataset
    assert.equal(ask(train), null);
  });

  test(`a dataset that is ${way} leaves nothing to train, and a merge without it`, () => {
    const { graph, load, tag, train } = usual();
    const second = graph.add("LoraAtelierLoadDataset", { folder: "input/b" });
    const merge = graph.add("LoraAtelierMergeDatasets");
    for (const [at, node] of [tag, load, second].entries()) graph.link(node, merge, `datasets.dataset${at}`);
    train.inputs = [];
    graph.link(merge, train);
    second.mode = mode;
    assert.deepEqual(ask(train).dataset, { node: "LoraAtelierMergeDatasets", datasets: [CROPPED, LOADED] });
    tag.mode = MUTED;
    assert.equal(ask(train), null);
    merge.mode = MUTED;
    assert.equal(ask(train), null);
  });
}

test("a link that leads to nothing known is not taken for one that is not sent", () => {
  const { graph, train } = usual();
  graph.link({ id: 99 }, train, "network");
  assert.equal(ask(train), null);
});

test("an input of a subgraph that nothing is linked to is not sent either", () => {
  const { graph, tag, train } = usual();
  const owner = graph.add(undefined, {}, { isSubgraphNode: () => true });
  graph.link(tag, owner);
  owner.inputs.push({ name: "network", type: "LORA_ATELIER_NETWORK", link: null });
  train.inputs = [];
  graph.link({ id: -10 }, train, "dataset", { originIsIoNode: true });
  graph.link({ id: -10 }, train, "network", { originIsIoNode: true, origin_slot: 1 });
  assert.deepEqual(ask(train, null, [owner]), { dataset: CROPPED, train: { rank: 16 } });
});

test("a graph that runs in circles is not followed for ever", () => {
  const { graph, load, crop, train } = usual();
  load.comfyClass = "LoraAtelierAutoTag";
  graph.link(crop, load);
  assert.equal(ask(train), null);
});

test("a node that many paths lead through is looked at once", () => {
  const { graph, train } = usual();
  const chain = Array.from({ length: 12 }, () => graph.add("LoraLoader"));
  for (const [at, loader] of chain.slice(1).entries()) {
    graph.link(chain[at], loader, "model");
    graph.link(chain[at], loader, "clip");
  }
  graph.link(chain.at(-1), train, "samples");
  let looks = 0;
  graph.getNodeById = (id) => {
    looks += 1;
    return Graph.prototype.getNodeById.call(graph, id);
  };
  assert.deepEqual(ask(train).dataset, CROPPED);
  assert.ok(looks < 100, `${looks} looks`); // each link once; each path once would be thousands
});

test("a bypassed node gives on what comes in at the same place, as ComfyUI has it", () => {
  const { graph, load, train } = usual();
  const other = graph.add("LoraAtelierImagesToDataset");
  const both = graph.add("TwoOfEach", {}, { mode: BYPASSED });
  graph.link(other, both, "first");
  graph.link(load, both, "second");
  both.outputs = [{ type: DATASET }, { type: DATASET }];
  train.inputs = [];
  const link = graph.link(both, train);
  assert.equal(ask(train), null);
  graph.getLink(link).origin_slot = 1;
  assert.deepEqual(ask(train).dataset, LOADED);
});

test("all that flows to a node is found, each once, also from inside a subgraph", () => {
  const { load, crop, tag, train, graph } = usual();
  const see = graph.add("LoraAtelierPreviewSample");
  graph.link(train, see);
  graph.link(train, see, "again");
  assert.deepEqual(nodesBefore({ node: see, owners: [] }), [train, tag, crop, load]);
  graph.link(see, load); // in circles
  assert.equal(nodesBefore({ node: see, owners: [] }).length, 4);
  const subgraph = { getNodeById: (id) => graph.getNodeById(id), outputNode: { slots: [{ getLinks: () => [{ origin_id: train.id, origin_slot: 0 }] }] } };
  const outer = new Graph();
  const owner = outer.add(undefined, {}, { isSubgraphNode: () => true, subgraph });
  const sheet = outer.add("LoraAtelierEpochSheet");
  outer.link(owner, sheet);
  assert.equal(nodesBefore({ node: sheet, owners: [] })[0], train);
});
