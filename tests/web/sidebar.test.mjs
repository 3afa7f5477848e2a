import assert from "node:assert/strict";
import test from "node:test";

import { createElement } from "./page/elements.mjs";
import { api } from "./page/page.mjs";

const { runsTab } = await import("../../web/runs/sidebar.mjs");
const { RunCard } = await import("../../web/runs/run_card.mjs");

const settled = () => new Promise((resolve) => setImmediate(resolve));
const RUN = { run: "cat-1", name: "cat", base: "sd15", family: "SD1.5", changed: 0, state: "training", step: 5,
  total_steps: 100, epochs: 2, pictures: 4, verdict: null, thumbnail: null, megabytes: 1, has_workflow: false };

async function opened(runs) {
  api.answer = async () => ({ value: { runs } });
  const place = createElement("div");
  const tab = runsTab();
  tab.render(place);
  await settled();
  return { place, tab };
}

test("the card of a run in training keeps its buttons while the steps go on: a press on one is not lost", () => {
  const card = new RunCard(() => {}, () => {});
  card.show(RUN, "");
  const before = card.element.all.length;
  const compare = card.element.find("Compare");
  card.show({ ...RUN, step: 6 }, "");
  assert.equal(card.element.find("Compare"), compare);
  assert.equal(card.element.all.length, before);
  assert.ok(card.element.all.some(({ textContent }) => textContent.endsWith("step 6 / 100")));
  card.show({ ...RUN, step: 100, state: "finished" }, "");
  assert.ok(card.element.find("Finished"));
});

test("a run gets its button to be compared with its first step", () => {
  const card = new RunCard(() => {}, () => {});
  card.show({ ...RUN, step: 0 }, "");
  assert.equal(card.element.find("Compare"), undefined);
  card.show(RUN, "");
  assert.ok(card.element.find("Compare"));
});

test("a run that was chosen for comparing and then deleted is no longer the one to compare with", async () => {
  const { place, tab } = await opened([RUN, { ...RUN, run: "dog-1", name: "dog" }]);
  const cardOf = (/** @type {string} */ run) => place.all.find(({ dataset }) => dataset.run === run);
  cardOf("cat-1").find("Compare").click();
  api.answer = async () => ({ value: { runs: [{ ...RUN, run: "dog-1", name: "dog" }] } });
  api.tell("reconnected", null);
  await settled();
  assert.equal(cardOf("cat-1"), undefined);
  cardOf("dog-1").find("Compare").click();
  await settled();
  assert.equal(cardOf("dog-1").find("Compare").getAttribute("aria-pressed"), "true");
  tab.destroy();
});

test("the list is asked for once at a time: an old answer cannot follow a newer one", async () => {
  const { place, tab } = await opened([RUN]);
  const answers = [];
  api.answer = () => new Promise((resolve) => answers.push((runs) => resolve({ value: { runs } })));
  api.tell("reconnected", null);
  api.tell("reconnected", null);
  assert.equal(answers.length, 1, "the second waits for the first");
  answers[0]([RUN]);
  await settled();
  tab.destroy();
  assert.ok(place.find("cat"));
});

test("a list that is closed asks no more", async () => {
  const { tab } = await opened([RUN]);
  tab.destroy();
  api.asked.length = 0;
  api.tell("reconnected", null);
  api.tell("lora_atelier.run", { run: "another", state: "training", changed: [] });
  assert.equal(api.asked.length, 0);
});
