/** All pictures shown, of which only those in view are in the page. */

import { make, setAttribute } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { CropCell, cropCellId, TEXT_HEIGHT } from "./crop_cell.mjs";
import { moved, scaled } from "./windows.mjs";

/** @typedef {import("./desk.mjs").CropDesk} CropDesk */

const GAP = 14;
const ROWS_BEYOND = 1;
const THUMBNAILS = [256, 512, 1024];
/** Of the window, for one press. */
const LARGER = 1.03;

export class CropGrid {
  /** @type {Map<string, CropCell>} cells in the page, by picture id */
  #cells = new Map();
  #columns = 1;
  #side = 1;
  #thumbnailSize = 0;

  /** @param {CropDesk} desk @param {(id: string, size: number) => string} thumbnail @param {number} size of a cell */
  constructor(desk, thumbnail, size) {
    this.desk = desk;
    this.thumbnail = thumbnail;
    this.size = size;
    this.sheet = make("div.la-grid-sheet");
    this.none = make("p.la-none", { text: say("crops.none") });
    const on = {
      scroll: () => requestAnimationFrame(() => this.#drawCells()),
      keydown: (event) => this.#onKey(event),
      keyup: () => desk.commit(),
      blur: () => desk.commit(),
    };
    const attributes = { role: "listbox", tabindex: "0", "aria-label": say("crops.pictures") };
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
    const width = this.element.clientWidth - 2 * GAP;
    if (width <= 0) return;
    this.#columns = Math.max(1, Math.floor((width + GAP) / (this.size + GAP)));
    this.#side = Math.floor((width - GAP * (this.#columns - 1)) / this.#columns);
    this.#choosePixels();
    const rows = Math.ceil(this.desk.shown.length / this.#columns);
    this.sheet.style.height = `${rows * this.#pitch + GAP}px`;
    this.none.hidden = rows > 0;
    this.#drawCells();
    const { focus } = this.desk;
    setAttribute(this.element, "aria-activedescendant", this.#cells.has(focus ?? "") ? cropCellId(focus) : undefined);
  }

  /** Scroll so that the focused picture is in view. */
  showFocus() {
    const position = this.desk.shown.indexOf(this.desk.focus ?? "");
    if (position < 0) return;
    const top = Math.floor(position / this.#columns) * this.#pitch;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.#pitch + GAP > scrollTop + clientHeight) {
      this.element.scrollTop = top + this.#pitch + GAP - clientHeight;
    }
  }

  get #pitch() {
    return this.#side + TEXT_HEIGHT + GAP;
  }

  /** Cells of another size get thumbnails anew. */
  #choosePixels() {
    const size = THUMBNAILS.find((pixels) => pixels >= this.#side) ?? THUMBNAILS[THUMBNAILS.length - 1];
    if (size === this.#thumbnailSize) return;
    this.#thumbnailSize = size;
    for (const [id, cell] of this.#cells) this.#discard(id, cell);
  }

  #drawCells() {
    const first = Math.floor(this.element.scrollTop / this.#pitch) - ROWS_BEYOND;
    const last = Math.ceil((this.element.scrollTop + this.element.clientHeight) / this.#pitch) + ROWS_BEYOND;
    const start = Math.max(0, first * this.#columns);
    const visible = this.desk.shown.slice(start, Math.max(0, last * this.#columns));
    const wanted = new Set(visible);
    for (const [id, cell] of this.#cells) if (!wanted.has(id)) this.#discard(id, cell);
    visible.forEach((id, offset) => this.#place(id, start + offset));
  }

  #discard(id, cell) {
    cell.discard();
    this.#cells.delete(id);
  }

  #place(id, position) {
    let cell = this.#cells.get(id);
    if (!cell) {
      cell = new CropCell(this.desk, id, this.thumbnail(id, this.#thumbnailSize));
      this.#cells.set(id, cell);
      this.sheet.append(cell.element);
    }
    const x = GAP + (position % this.#columns) * (this.#side + GAP);
    const y = GAP + Math.floor(position / this.#columns) * this.#pitch;
    cell.draw(position, x, y, this.#side);
  }

  #onKey(event) {
    if (this.desk.focus === null || event.altKey) return;
    const isCommand = event.ctrlKey || event.metaKey;
    const act = isCommand ? this.#step(event.key) : this.#change(event.key, event.shiftKey ? 10 : 1);
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** To another picture. */
  #step(key) {
    const { shown, focus } = this.desk;
    const at = shown.indexOf(focus);
    const place = {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - this.#columns, ArrowDown: at + this.#columns,
      Home: 0, End: shown.length - 1,
    }[key];
    if (place === undefined) return null;
    return () => {
      this.desk.commit();
      this.desk.focusOn(shown[Math.max(0, Math.min(shown.length - 1, place))]);
      this.showFocus();
    };
  }

  /** Of the focused picture's window, by some pixels. */
  #change(key, pixels) {
    const { desk } = this;
    const id = desk.focus;
    const { width, height } = desk.pictures.get(id);
    const { window, shape } = desk.crop(id);
    const nudge = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    if (nudge) return () => desk.preview(id, moved(window, nudge[0] * pixels, nudge[1] * pixels, [width, height]));
    const factor = { "+": LARGER, "=": LARGER, "-": 1 / LARGER }[key];
    if (factor) return () => desk.preview(id, scaled(window, factor, [width, height], shape[0] / shape[1]));
    return key === "Delete" || key === "Backspace" ? () => desk.reset(id) : null;
  }
}
