/** As much of elements as `make` in web/parts/element.mjs uses. */

export class Element {
  children = /** @type {any[]} */ ([]);
  dataset = {};
  style = { setProperty() {} };
  classList = { add() {}, toggle() {} };
  hidden = false;
  textContent = "";
  value = "";
  #attributes = new Map();
  #acts = new Map();

  append(...children) {
    for (const child of children) this.insertBefore(child, null);
  }

  replaceChildren(...children) {
    this.children = [];
    this.append(...children);
  }

  insertBefore(child, before) {
    child.parent?.children.splice(child.parent.children.indexOf(child), 1);
    this.children.splice(before === null ? this.children.length : this.children.indexOf(before), 0, child);
    if (child instanceof Element) Object.defineProperty(child, "parent", { value: this, configurable: true });
  }

  remove() {
    const { parent } = /** @type {any} */ (this);
    parent?.children.splice(parent.children.indexOf(this), 1);
  }

  setAttribute(name, value) {
    this.#attributes.set(name, value);
  }

  removeAttribute(name) {
    this.#attributes.delete(name);
  }

  getAttribute(name) {
    return this.#attributes.get(name) ?? null;
  }

  toggleAttribute(name, isSet) {
    if (isSet) this.#attributes.set(name, "");
    else this.#attributes.delete(name);
  }

  addEventListener(name, act) {
    this.#acts.set(name, act);
  }

  click() {
    this.#acts.get("click")({ target: this });
  }

  /** @returns {any[]} all that are in it, itself first */
  get all() {
    return [this, ...this.children.flatMap((child) => child.all ?? [])];
  }

  /** @param {string} text @returns {any} the element that says it */
  find(text) {
    return this.all.find((element) => element.textContent === text);
  }
}

export class ButtonElement extends Element {}

/** @param {string} name */
export function createElement(name) {
  return name === "button" ? new ButtonElement() : new Element();
}
