import assert from "node:assert/strict";
import test from "node:test";

import { api } from "./page/page.mjs";

const { HealthCard } = await import("../../web/health_card/panel.mjs");
const { UsePanel } = await import("../../web/use_this_one.mjs");

const settled = () => new Promise((resolve) => setImmediate(resolve));
const NEEDED = 300;

/** A node in a graph, as high as somebody has dragged it. */
function nodeOf(/** @type {number} */ height) {
  return /** @type {any} */ ({
    id: 4, graph: {}, properties: {}, size: [400, height],
    addDOMWidget: () => ({}),
    computeSize: () => [320, NEEDED],
    setSize(size) { this.size = size; },
    setDirtyCanvas() {},
  });
}

for (const [name, show] of /** @type {[string, (node: any) => Promise<void>][]} */ ([
  ["the buttons for kept LoRAs", async (node) => new UsePanel(node).refresh()],
  ["the health card", async (node) => {
    api.answer = async () => ({ value: { findings: [], ok: 4, to_look_at: 0, repaired: 0, skipped: 0, samples: 4, pictures: 4,
      regularisation_pictures: 0, size: null } });
    const card = new HealthCard(node);
    node.properties.lora_atelier_health = "a-board";
    await card.refresh();
    await settled();
  }],
])) {
  test(`${name}: a node that somebody has made higher stays so`, async () => {
    const node = nodeOf(700);
    await show(node);
    assert.deepEqual(node.size, [400, 700]);
  });

  test(`${name}: a node that is too low for them grows`, async () => {
    const node = nodeOf(100);
    await show(node);
    assert.deepEqual(node.size, [400, NEEDED]);
  });
}
