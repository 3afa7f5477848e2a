/**
 * A grid of pictures that scrolls: however many there are, only those in view are in the page. Cells are made as they
 * come into view, placed by their number alone, and taken away as they leave it.
 *
 * @typedef {object} Cell One picture with what is written below it.
 * @property {HTMLElement} element
 * @property {HTMLImageElement} image
 * @property {(side: number) => void} draw as the picture stands now, `side` pixels wide
 *
 * @typedef {object} Layout All in pixels.
 * @property {number} gap between cells and around them
 * @property {number} below what a cell has below its square picture; as the style sheet has it
 * @property {readonly number[]} thumbnails sizes to choose from, the smallest first
 *
 * @typedef {object} Pictures What is asked anew with every drawing.
 * @property {() => readonly string[]} ids of all that are shown, in order
 * @property {() => string | null} focus the one that the keyboard is on
 * @property {(id: string, pixels: number) => Cell} cell with a thumbnail of that size
 */

import { make, setAttribute } from "./element.mjs";

const ROWS_BEYOND = 1;

export class CellGrid {
  /** @type {Map<string, Cell>} those in the page, by picture */
  #cells = new Map();
  #columns = 1;
  #side = 1;
  #pixels = 0;

  /** @param {Layout} layout @param {Pictures} pictures @param {number} size of a cell, at least
   * @param {{label: string, none: string}} words what it shows, and what is said where there is nothing to show */
  constructor(layout, pictures, size, { label, none }) {
    this.layout = layout;
    this.pictures = pictures;
    this.size = size;
    this.sheet = make("div.la-grid-sheet");
    this.none = make("p.la-none", { text: none });
    const on = { scroll: () => requestAnimationFrame(() => this.#drawCells()) };
    const attributes = { role: "listbox", tabindex: "0", "aria-label": label };
    this.element = make("div.la-grid", { ...attributes, on }, this.sheet, this.none);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.element);
  }

  destroy() {
    this.observer.disconnect();
  }

  /** @param {number} size of a cell in pixels; cells grow to fill the width */
  resize(size) {
    this.size = size;
    this.draw();
    this.showFocus();
  }

  draw() {
    const { gap } = this.layout;
    const width = this.element.clientWidth - 2 * gap;
    if (width <= 0) return;
    this.#columns = Math.max(1, Math.floor((width + gap) / (this.size + gap)));
    this.#side = Math.floor((width - gap * (this.#columns - 1)) / this.#columns);
    this.#choosePixels();
    const rows = Math.ceil(this.pictures.ids().length / this.#columns);
    this.sheet.style.height = `${rows * this.#pitch + gap}px`;
    this.none.hidden = rows > 0;
    this.#drawCells();
    setAttribute(this.element, "aria-activedescendant", this.#cells.get(this.pictures.focus())?.element.id);
  }

  /** Scroll so that the focused picture is in view. */
  showFocus() {
    const position = this.pictures.ids().indexOf(this.pictures.focus());
    if (position < 0) return;
    const top = Math.floor(position / this.#columns) * this.#pitch;
    const bottom = top + this.#pitch + this.layout.gap;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.element.scrollTop = bottom - clientHeight;
  }

  /** Where a key goes from the focused picture.
   * @param {string} key @returns {number | undefined} a place that may lie outside; undefined for other keys */
  placeAfter(key) {
    const ids = this.pictures.ids();
    const at = ids.indexOf(this.pictures.focus());
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.#pitch)) * this.#columns;
    return {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - this.#columns, ArrowDown: at + this.#columns,
      PageUp: at - page, PageDown: at + page, Home: 0, End: ids.length - 1,
    }[key];
  }

  get #pitch() {
    return this.#side + this.layout.below + this.layout.gap;
  }

  /** Cells of another size get thumbnails anew. */
  #choosePixels() {
    const { thumbnails } = this.layout;
    const pixels = thumbnails.find((size) => size >= this.#side) ?? thumbnails[thumbnails.length - 1];
    if (pixels === this.#pixels) return;
    this.#pixels = pixels;
    for (const id of this.#cells.keys()) this.#discard(id);
  }

  #drawCells() {
    const ids = this.pictures.ids();
    const first = Math.floor(this.element.scrollTop / this.#pitch) - ROWS_BEYOND;
    const last = Math.ceil((this.element.scrollTop + this.element.clientHeight) / this.#pitch) + ROWS_BEYOND;
    const start = Math.max(0, first * this.#columns);
    const visible = ids.slice(start, Math.max(0, last * this.#columns));
    const wanted = new Set(visible);
    for (const id of this.#cells.keys()) if (!wanted.has(id)) this.#discard(id);
    visible.forEach((id, offset) => this.#place(this.#cellOf(id), start + offset, ids.length));
  }

  #cellOf(id) {
    const known = this.#cells.get(id);
    if (known) return known;
    const cell = this.pictures.cell(id, this.#pixels);
    this.#cells.set(id, cell);
    this.sheet.append(cell.element);
    return cell;
  }

  #place(cell, position, count) {
    const x = this.layout.gap + (position % this.#columns) * (this.#side + this.layout.gap);
    const y = this.layout.gap + Math.floor(position / this.#columns) * this.#pitch;
    const { style } = cell.element;
    style.transform = `translate(${x}px, ${y}px)`;
    style.width = `${this.#side}px`;
    style.setProperty("--la-side", `${this.#side}px`);
    setAttribute(cell.element, "aria-posinset", position + 1);
    setAttribute(cell.element, "aria-setsize", count);
    cell.draw(this.#side);
  }

  #discard(id) {
    const { image, element } = this.#cells.get(id);
    image.removeAttribute("src"); // a picture that is out of view need not arrive
    element.remove();
    this.#cells.delete(id);
  }
}
