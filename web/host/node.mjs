/** A node: its widgets, its size, and what is shown below them. */

import { app } from "../../../scripts/app.js";
import { executionIds, isKept, isUndoing, placeOf } from "./graph.mjs";

const SETTING_ALWAYS_ADVANCED = "Comfy.Node.AlwaysShowAdvancedWidgets";
const MARK = " ●";

/** @type {Map<any, () => void>} what ends for each node that is in a graph */
const ends = new Map();

/** @type {Map<string, any>} what nodes have left since the page was loaded, by their places and its name: undoing brings
 * nodes back as they were before it */
const newest = new Map();

/** @type {WeakMap<any, (output: any) => void>} how each node remembers what it left */
const takers = new WeakMap();

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
    const get = () => isHidden || (isFolded() && !isLinked(node, widget.name)); // a link needs its place
    Object.defineProperty(widget, "hidden", { get, set, configurable: true });
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

function isLinked(node, name) {
  return node.inputs?.some((input) => input.widget?.name === name && input.link != null) ?? false;
}

/** Call `act` after a method of the node, with the method's arguments.
 * @param {any} node @param {"onAdded" | "onExecuted" | "onConfigure" | "onRemoved"} method @param {(value: any) => void} act */
export function after(node, method, act) {
  const original = node[method];
  node[method] = function (...values) {
    const result = original?.apply(this, values);
    act(values[0]);
    return result;
  };
}

/** Do something for as long as a node is in a graph. A copy that only goes to the clipboard never is.
 * @param {any} node that was just made @param {() => void} begin @param {() => void} end */
export function whileInGraph(node, begin, end) {
  after(node, "onAdded", () => {
    if (ends.has(node)) return;
    ends.set(node, end);
    begin();
  });
  after(node, "onRemoved", () => endOf(node));
}

/** End it for nodes that went with their subgraph, as another workflow was loaded or this one was undone: ComfyUI tells
 * only the nodes outside of subgraphs. */
export function leaveLostNodes() {
  for (const node of ends.keys()) if (!isKept(node)) endOf(node);
}

function endOf(node) {
  ends.get(node)?.();
  ends.delete(node);
}

/** Keep on the node, and so in the workflow, what its last run left for the page; then call `act`, after every run.
 * @param {any} node @param {string} name of it among the node's outputs and its properties @param {() => void} act */
export function rememberOutput(node, name, act) {
  const take = (/** @type {any} */ output) => {
    const [left] = output?.[name] ?? [];
    if (left !== undefined) {
      node.properties[name] = left;
      if (node.graph) newest.set(`${placeOf(node)} ${name}`, left);
    }
    act();
  };
  takers.set(node, take);
  after(node, "onExecuted", take);
  after(node, "onConfigure", () => {
    const left = node.graph && isUndoing() ? newest.get(`${placeOf(node)} ${name}`) : undefined;
    if (left !== undefined) node.properties[name] = left;
  });
}

/** @param {any} node that left something while it was not in view; none is given nothing @param {any} output */
export function giveOutput(node, output) {
  takers.get(node)?.(output);
}

/** Take away the picture that a node showed while it worked: Nodes 2.0 leaves it beside what came of the work.
 * @param {any} node */
export function clearPreview(node) {
  const { _p: stores } = /** @type {any} */ (app.extensionManager); // ComfyUI gives packs no other way to them
  const outputs = stores?._s.get("nodeOutput");
  for (const id of executionIds(node)) outputs?.revokePreviewsByExecutionId?.(id);
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

/** Make the node as high as its widgets need now where it is lower, for somebody may have made it higher; it is never
 * made narrower.
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

function findWidget(node, name) {
  return node.widgets?.find((/** @type {any} */ widget) => widget.name === name);
}
