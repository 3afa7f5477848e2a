/** Everything taken from ComfyUI's page: server calls, nodes and widgets, settings, messages. */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const SETTING_MIRROR = "LoraAtelier.DownloadMirror";

// ---------------------------------------------------------------------------------------------------- server

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
  let response;
  try {
    response = await api.fetchApi(path, options);
  } catch (problem) {
    throw new ServerError(problem.message, 0);
  }
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  throw new ServerError(errorIn(text) ?? `${response.status} ${response.statusText}`, response.status);
}

function errorIn(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return undefined;
  }
}

// ---------------------------------------------------------------------------------------------------- nodes

/** @param {any} node @param {string} name @returns {any} the widget's value; undefined where there is none */
export function widgetValue(node, name) {
  return findWidget(node, name)?.value;
}

/** @param {any} node @param {string} name @param {string | number} value */
export function setWidgetValue(node, name, value) {
  const widget = findWidget(node, name);
  if (!widget) return;
  widget.value = value;
  widget.callback?.(value);
}

/** Take a widget off the node, on the canvas and in Nodes 2.0; its value is still saved and sent.
 * @param {any} node @param {string} name */
export function hideWidget(node, name) {
  const widget = findWidget(node, name);
  if (!widget) return;
  widget.hidden = true;
  widget.options.hidden = true;
}

/** @param {any} node @param {string} name @param {() => void} act */
export function onWidgetChange(node, name, act) {
  const widget = findWidget(node, name);
  if (!widget) return;
  const { callback } = widget;
  widget.callback = function (...values) {
    const result = callback?.apply(this, values);
    act();
    return result;
  };
}

/** Call `act` after a method of the node, with the method's arguments.
 * @param {any} node @param {"onExecuted" | "onConfigure" | "onRemoved"} method @param {(value: any) => void} act */
export function after(node, method, act) {
  const original = node[method];
  node[method] = function (...values) {
    const result = original?.apply(this, values);
    act(values[0]);
    return result;
  };
}

/** Show an element at the end of the node. It saves nothing.
 * @param {any} node @param {string} name @param {HTMLElement} element @param {() => number} height in pixels */
export function addPanel(node, name, element, height) {
  const options = {
    serialize: false,
    hideInPanel: true, // the properties panel would shrink it
    hideOnZoom: false,
    getMinHeight: height,
    getMaxHeight: height,
    getValue: () => "",
    setValue: () => {},
  };
  node.addDOMWidget(name, `lora_atelier_${name}`, element, options).serialize = false;
}

/** Give the node the height its widgets need now; it is never made narrower.
 * @param {any} node */
export function fitHeight(node) {
  const [width, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
  node.setDirtyCanvas(true, true);
}

function findWidget(node, name) {
  return node.widgets?.find((/** @type {any} */ widget) => widget.name === name);
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
  const root = app.rootGraph ?? app.graph;
  const inner = node.graph && node.graph !== root ? `${node.graph.id}:` : "";
  return `${root.id}:${inner}${node.id}`;
}

/** Tell ComfyUI that the workflow changed: outside the canvas it does not look. */
export function markModified() {
  const tracker = app.extensionManager.workflow?.activeWorkflow?.changeTracker;
  if (tracker?.captureCanvasState) tracker.captureCanvasState();
  else tracker?.checkState?.();
}

// ------------------------------------------------------------------------------------ settings and messages

/** @returns {string} such as "en", "zh" or "zh-TW" */
export function locale() {
  return app.extensionManager?.setting.get("Comfy.Locale") ?? navigator.language;
}

/** @returns {string} where taggers are downloaded from */
export function downloadMirror() {
  return app.extensionManager.setting.get(SETTING_MIRROR);
}

/** @param {string} name @param {string[]} category @param {string} tooltip @param {string[]} addresses */
export function mirrorSetting(name, category, tooltip, addresses) {
  const options = addresses.map((address) => ({ text: address, value: address }));
  return { id: SETTING_MIRROR, name, category, tooltip, type: "combo", options, defaultValue: addresses[0] };
}

/** @param {"success" | "info" | "warn" | "error"} severity @param {string} summary @param {string} [detail] */
export function notify(severity, summary, detail) {
  app.extensionManager.toast.add({ severity, summary, detail, life: severity === "error" ? undefined : 5000 });
}

/** @param {object} extension */
export function registerExtension(extension) {
  app.registerExtension(extension);
}
