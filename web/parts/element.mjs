/**
 * Make an HTML element. Text goes in as text, never as HTML.
 *
 * @param {string} selector tag name and classes, such as "button.la-button"
 * @param {{text?: string, on?: Record<string, (event: any) => void>, [attribute: string]: any}} [properties]
 *   attributes; those that are false or undefined are left out, true is an empty one
 * @param {...(Node | string | null)} children null is none
 * @returns {any}
 */
export function make(selector, { text, on = {}, ...attributes } = {}, ...children) {
  const [name, ...classes] = selector.split(".");
  const node = document.createElement(name);
  node.classList.add(...classes);
  if (node instanceof HTMLButtonElement) node.type = "button";
  for (const [attribute, value] of Object.entries(attributes)) setAttribute(node, attribute, value);
  for (const [event, act] of Object.entries(on)) node.addEventListener(event, act);
  if (text !== undefined) node.textContent = text;
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** @param {Element} node @param {string} attribute @param {any} value */
export function setAttribute(node, attribute, value) {
  if (value === false || value === undefined) node.removeAttribute(attribute);
  else node.setAttribute(attribute, value === true ? "" : String(value));
}

const STROKES = {
  add: "M12 5v14M5 12h14",
  absorb: "M12 4v10m-4-4 4 4 4-4M5 19h14",
  check: "m5 12.5 4.5 4.5L19 7.5",
  close: "m6 6 12 12M18 6 6 18",
  exclude: "M6 12h12",
  help: "M9 9.2a3 3 0 1 1 4.4 2.7c-.9.5-1.4 1-1.4 2.1M12 17.4v.2",
  lock: "M7 11h10v8H7zM9 11V8a3 3 0 0 1 6 0v3",
  next: "m9.5 6 6 6-6 6",
  previous: "m14.5 6-6 6 6 6",
  redo: "M19 9H9.5a5 5 0 0 0 0 10H14M19 9l-4-4m4 4-4 4",
  reset: "M5 12a7 7 0 1 0 2.2-5.1M5 4v4h4",
  search: "M16 16l4.5 4.5M18 11a7 7 0 1 1-14 0 7 7 0 0 1 14 0",
  undo: "M5 9h9.5a5 5 0 0 1 0 10H10M5 9l4-4M5 9l4 4",
};

/** @param {keyof typeof STROKES} name @returns {SVGElement} drawn with the colour of the text */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "la-icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", STROKES[name]);
  svg.append(path);
  return svg;
}

/** @param {keyof typeof STROKES} name @param {string} label @param {() => void} act */
export function iconButton(name, label, act) {
  return make("button.la-icon-button", { "aria-label": label, title: label, on: { click: act } }, icon(name));
}

/** @param {string} label @param {() => void} act @param {string} [look] further classes */
export function button(label, act, look = "") {
  return make(`button.la-button${look}`, { text: label, on: { click: act } });
}

/** A labelled slider from `least` to `most`.
 * @param {{label: string, least: number, most: number, step: number, value: number,
 *   show: (value: number) => string, onInput: (value: number) => void}} settings */
export function slider({ label, least, most, step, value, show, onInput }) {
  const output = make("output.la-slider-value", { text: show(value) });
  const input = make("input.la-slider", { type: "range", min: least, max: most, step, value, "aria-label": label });
  input.addEventListener("input", () => {
    output.textContent = show(input.valueAsNumber);
    onInput(input.valueAsNumber);
  });
  const node = make("label.la-field", {}, make("span", { text: label }), input, output);
  const set = (/** @type {number} */ next) => {
    input.value = String(next);
    output.textContent = show(next);
  };
  return { element: node, set };
}
