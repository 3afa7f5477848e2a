import assert from "node:assert/strict";
import test from "node:test";

import { api, settings } from "./page/page.mjs";

const { getJson } = await import("../../web/host/server.mjs");

const answering = (/** @type {number} */ status, /** @type {string} */ text) => {
  api.fetchApi = async () => ({ ok: status < 400, status, statusText: "Told", text: async () => text });
};

test("what the server refuses is told in its words, or those of the page's language", async () => {
  answering(400, '{"error": "Refresh the page."}');
  await assert.rejects(getJson("/x"), { message: "Refresh the page.", status: 400 });
  settings["Comfy.Locale"] = "zh";
  await assert.rejects(getJson("/x"), { message: "请刷新页面。", status: 400 });
});

test("an answer that is not the pack's is an error with its status, in every language", async () => {
  for (const [status, text] of /** @type {const} */ ([
    [200, "<html>sign in</html>"], [502, "<html>"], [400, '{"error": {"type": "x"}}'], [500, "null"], [404, ""],
  ])) {
    answering(status, text);
    await assert.rejects(getJson("/x"), { message: `${status} Told`, status });
  }
});

test("an answer that breaks off is as none", async () => {
  api.fetchApi = async () => ({ ok: true, status: 200, text: () => Promise.reject(new TypeError("network error")) });
  await assert.rejects(getJson("/x"), { message: "network error", status: 0 });
});
