/** The server of ComfyUI: what is asked of it, what it refuses, what it tells by itself. */

import { api } from "../../../scripts/api.js";
import { phrase } from "../words/phrases.mjs";
import { locale } from "./page.mjs";

/** What the server refused, or why it could not be reached. */
export class ServerError extends Error {
  /** @param {string} message @param {number} status 0 where there was no answer */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** @param {string} path of a route @returns {string} for an <img> */
export function addressOf(path) {
  return api.apiURL(path);
}

/** @param {string} path @returns {Promise<any>} @throws {ServerError} */
export function getJson(path) {
  return request(path, { cache: "no-store" });
}

/** @param {string} path @param {object} value @returns {Promise<any>} @throws {ServerError} */
export function postJson(path, value) {
  return request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(value),
  });
}

async function request(path, options) {
  let response, text;
  try {
    response = await api.fetchApi(path, options);
    text = await response.text(); // it may break off in the middle
  } catch (problem) {
    throw new ServerError(problem.message, 0);
  }
  const value = parsed(text);
  if (response.ok && value !== undefined) return value;
  const said = typeof value?.error === "string" ? value.error : `${response.status} ${response.statusText}`;
  throw new ServerError(phrase(said, locale()), response.status);
}

/** @returns {any} undefined where it is no JSON, such as a page that a proxy sends instead */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @param {string} name of an event that the server sends to pages @param {(detail: any) => void} act */
export function onServerEvent(name, act) {
  // not by addCustomEventListener, which ComfyUI's page has since 1.41 only
  /** @type {any} */ (api).addEventListener(name, (/** @type {CustomEvent} */ event) => act(event.detail));
}

/** @param {() => void} act once the server is there again, for instance after a restart */
export function onReconnected(act) {
  api.addEventListener("reconnected", act);
}

/** @returns {Promise<Record<string, any>>} what nodes and their inputs are called in the user's language, by type */
export async function nodeNames() {
  const language = locale();
  const all = await getJson("/i18n").catch(() => ({}));
  return all[language]?.nodeDefs ?? all.en?.nodeDefs ?? {};
}
