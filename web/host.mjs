/** Everything taken from ComfyUI's page: server calls, nodes and widgets, settings, messages. */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { phrase } from "./words/phrases.mjs";

const SETTING_MIRROR = "LoraAtelier.DownloadMirror";
const SETTING_ALWAYS_ADVANCED = "Comfy.Node.AlwaysShowAdvancedWidgets";
const MARK = " ●";

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
  const said = errorIn(text) ?? `${response.status} ${response.statusText}`;
  throw new ServerError(phrase(said, locale()), response.status);
}

function errorIn(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return undefined;
  }
}

/** @param {string} name of an event that the server sends to pages @param {(detail: any) => void} act */
export function onServerEvent(name, act) {
  api.addCustomEventListener(name, (/** @type {CustomEvent} */ event) => act(event.detail));
}

/** @param {() => void} act once the server is there again, for instance after a restart */
export function onReconnected(act) {
  api.addEventListener("reconnected", act);
}

/** Tell errors of our nodes in the user's language, before a run or in it. ComfyUI takes them as they come into a log
 * that has to be opened, so they are changed on their way, as its own listener is called after one that captures, and
 * shown.
 * @param {string} prefix of the types of our nodes */
export function tellErrors(prefix) {
  const isOurs = (/** @type {string} */ type) => type?.startsWith(prefix);
  const listener = (/** @type {CustomEvent} */ { detail }) => {
    if (!isOurs(detail.node_type)) return;
    detail.exception_message = phrase(detail.exception_message.trimEnd(), locale());
    notify("error", app.rootGraph?.getNodeById(detail.node_id)?.title ?? detail.node_type, detail.exception_message);
  };
  api.addEventListener("execution_error", listener, { capture: true });
  const tell = (/** @type {Record<string, any>} */ nodes) => {
    const found = Object.values(nodes ?? {}).filter((node) => isOurs(node.class_type));
    for (const error of found.flatMap((node) => node.errors)) error.details = detailsOf(error);
  };
  const { queuePrompt } = api;
  api.queuePrompt = async function (...values) {
    try {
      const answer = await queuePrompt.apply(this, values);
      tell(answer.node_errors); // of branches that are left out while the others run
      return answer;
    } catch (refused) {
      tell(refused.response?.node_errors);
      throw refused;
    }
  };
}

/** ComfyUI writes the input's name before what a node says of it. */
function detailsOf({ details, extra_info: input }) {
  const name = `${input?.input_name} - `;
  return details?.startsWith(name) ? name + phrase(details.slice(name.length), locale()) : details;
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

/** Put a dot behind a widget's name, or take it away. It is not saved.
 * @param {any} node @param {string} name @param {boolean} isMarked */
export function markWidget(node, name, isMarked) {
  const widget = findWidget(node, name);
  if (!widget) return;
  const shown = widget.label || widget.name;
  const plain = shown.endsWith(MARK) ? shown.slice(0, -MARK.length) : shown;
  const wanted = isMarked ? plain + MARK : plain;
  if (wanted !== shown) widget.label = wanted;
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

/** Keep on the node, and so in the workflow, what its last run left for the page; then call `act`, after every run.
 * @param {any} node @param {string} name of it among the node's outputs and its properties @param {() => void} act */
export function rememberOutput(node, name, act) {
  after(node, "onExecuted", (output) => {
    const [left] = output?.[name] ?? [];
    if (left !== undefined) node.properties[name] = left;
    act();
  });
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

/** Give a new node its width and the height its widgets need.
 * @param {any} node @param {number} width in pixels, unless its widgets need more */
export function setWidth(node, width) {
  const [narrowest, height] = node.computeSize();
  node.setSize([Math.max(width, narrowest), height]);
}

/** Give a node the height its widgets need now.
 * @param {any} node */
export function refit(node) {
  setWidth(node, node.size[0]);
  node.setDirtyCanvas(true, true); // widgets are moved as the canvas is drawn
}

/** Fold the widgets marked as advanced away behind a button, as Nodes 2.0 does by itself. Like there, the node saves
 * whether they are shown, and a setting of ComfyUI's shows them always.
 * @param {any} node @param {(isFolded: boolean) => string} label of the button */
export function foldAdvanced(node, label) {
  const advanced = (node.widgets ?? []).filter((/** @type {any} */ widget) => widget.options.advanced);
  if (advanced.length === 0) return;
  const isAlwaysShown = () => app.extensionManager.setting.get(SETTING_ALWAYS_ADVANCED);
  const isFolded = () => !node.showAdvanced && !isAlwaysShown();
  for (const widget of advanced) {
    let isHidden = Boolean(widget.hidden);
    const set = (/** @type {boolean} */ value) => (isHidden = value);
    Object.defineProperty(widget, "hidden", { get: () => isHidden || isFolded(), set, configurable: true });
  }
  const turn = () => {
    node.showAdvanced = !node.showAdvanced;
    setWidth(node, node.size[0]);
  };
  const button = node.addWidget("button", "advanced", "", turn, { serialize: false, canvasOnly: true });
  button.serialize = false;
  Object.defineProperty(button, "hidden", { get: isAlwaysShown, configurable: true });
  Object.defineProperty(button, "label", { get: () => label(isFolded()), configurable: true });
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

/** @returns {string} of the workflow in view, as its runs are marked with */
export function workflowId() {
  return (app.rootGraph ?? app.graph).id;
}

/** @param {any} node @returns {boolean} whether it is a part of the workflow in view */
export function isInView(node) {
  return node.graph?.getNodeById(node.id) === node && ownersOf(node).length > 0;
}

/** Where a node is run: the nodes of subgraphs that lead to it, from the outermost in; one path for each use of a
 * subgraph that is used several times.
 * @param {any} node @param {any} [graph] to look in
 * @returns {any[][]} one empty path for a node outside of subgraphs */
export function ownersOf(node, graph = app.rootGraph ?? app.graph) {
  if (node.graph === graph) return [[]];
  const inner = graph.nodes.filter((/** @type {any} */ one) => one.isSubgraphNode?.());
  return inner.flatMap((owner) => ownersOf(node, owner.subgraph).map((path) => [owner, ...path]));
}

/** What the server calls a node when it runs it, such as "4" or "3:4" in a subgraph.
 * @param {any} node @returns {string[]} several where its subgraph is used several times */
export function executionIds(node) {
  return ownersOf(node).map((path) => [...path, node].map(({ id }) => id).join(":"));
}

/** Tell ComfyUI that the workflow changed: outside the canvas it does not look. */
export function markModified() {
  const tracker = app.extensionManager.workflow?.activeWorkflow?.changeTracker;
  if (tracker?.captureCanvasState) tracker.captureCanvasState();
  else tracker?.checkState?.();
}

/** Give types of sockets a colour, unless the user's palette has one for them. Palettes blank what they do not know,
 * so the colours stand where a blank uncovers them.
 * @param {Record<string, string>} colours by type */
export function colourSockets(colours) {
  const { default_connection_color_byType: sockets, constructor: canvas } = /** @type {any} */ (app.canvas);
  for (const [type, colour] of Object.entries(colours)) {
    let ofPalette = "";
    const ofType = { get: () => ofPalette || colour, set: (value) => (ofPalette = value), enumerable: true };
    for (const table of [sockets, canvas.link_type_colors]) Object.defineProperty(table, type, ofType);
  }
  const style = document.createElement("style"); // Nodes 2.0 reads variables, which palettes set on the root itself
  const variables = Object.entries(colours).map(([type, colour]) => `--color-datatype-${type}: ${colour};`);
  style.textContent = `:root { ${variables.join(" ")} }`;
  document.head.append(style);
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

/** @param {string} title @param {string} message @param {string} value to begin with
 * @returns {Promise<string | null>} null where the user changed their mind */
export function askForText(title, message, value) {
  return app.extensionManager.dialog.prompt({ title, message, defaultValue: value });
}

/** @param {string} title @param {string} message @returns {Promise<boolean>} */
export async function confirmDeletion(title, message) {
  return (await app.extensionManager.dialog.confirm({ title, message, type: "delete" })) === true;
}

/** @param {string} text @returns {Promise<boolean>} false where the browser does not allow it, as on plain http */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** Open a workflow in a tab of its own, as one that is not saved yet.
 * @param {any} workflow @param {string} name */
export function openWorkflow(workflow, name) {
  return app.loadGraphData(workflow, true, true, name);
}

/** @returns {Promise<Record<string, any>>} what nodes and their inputs are called in the user's language, by type */
export async function nodeNames() {
  const language = locale();
  const all = await getJson("/i18n").catch(() => ({}));
  return all[language]?.nodeDefs ?? all.en?.nodeDefs ?? {};
}

/** @param {{id: string, icon: string, title: string, tooltip: string, render: (element: HTMLElement) => void,
 *   destroy: () => void}} tab of the sidebar */
export function addSidebarTab(tab) {
  app.extensionManager.registerSidebarTab({ type: "custom", ...tab });
}

/** @param {object} extension */
export function registerExtension(extension) {
  app.registerExtension(extension);
}
