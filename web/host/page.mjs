/** The page around the canvas: settings, messages, colours, what is added to it. */

import { app } from "../../../scripts/app.js";

const SETTING_MIRROR = "LoraAtelier.DownloadMirror";

/** @returns {string} such as "en", "zh" or "zh-TW" */
export function locale() {
  return app.extensionManager?.setting.get("Comfy.Locale") ?? navigator.language;
}

/** @returns {string} where taggers are downloaded from; empty: from where the server does by itself */
export function downloadMirror() {
  return app.extensionManager.setting.get(SETTING_MIRROR);
}

/** @param {string} name @param {string[]} category @param {string} tooltip @param {string} ofServer what its own choice is
 * called @param {string[]} addresses */
export function mirrorSetting(name, category, tooltip, ofServer, addresses) {
  const options = [{ text: ofServer, value: "" }, ...addresses.map((address) => ({ text: address, value: address }))];
  return { id: SETTING_MIRROR, name, category, tooltip, type: "combo", options, defaultValue: "" };
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

/** @param {{id: string, icon: string, title: string, tooltip: string, render: (element: HTMLElement) => void,
 *   destroy: () => void}} tab of the sidebar */
export function addSidebarTab(tab) {
  app.extensionManager.registerSidebarTab({ type: "custom", ...tab });
}

/** @param {object} extension */
export function registerExtension(extension) {
  app.registerExtension(extension);
}
