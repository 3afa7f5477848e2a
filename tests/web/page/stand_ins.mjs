/** What web/host/ imports of ComfyUI's page, for tests that run without one. */

export const toasts = [];
export const settings = { "Comfy.Locale": "en" };

export const app = {
  rootGraph: graph("a-workflow", []),
  extensionManager: {
    setting: { get: (/** @type {string} */ name) => settings[name] },
    toast: { add: (/** @type {any} */ toast) => toasts.push(toast) },
  },
};

class Api extends EventTarget {
  addCustomEventListener = this.addEventListener;
  asked = [];
  /** Gives what the server answers, or throws where it is not there. */
  answer = (/** @type {string} */ path) => Promise.reject(new Error(`nothing answers ${path}`));

  async fetchApi(path, options) {
    this.asked.push([path, options]);
    const { status = 200, value } = await this.answer(path, options);
    return { ok: status < 400, status, statusText: "", text: async () => JSON.stringify(value) };
  }

  apiURL(path) {
    return path;
  }

  tell(name, detail) {
    this.dispatchEvent(Object.assign(new Event(name), { detail }));
    return detail;
  }
}

export const api = new Api();

/** @param {string} id @param {any[]} nodes each with an id */
export function graph(id, nodes) {
  const made = { id, nodes, getNodeById: (/** @type {string | number} */ wanted) => nodes.find((one) => String(one.id) === String(wanted)) ?? null };
  for (const node of nodes) node.graph = made;
  return made;
}
