/** The middle: all pictures shown, of which only those in view are in the page. */

import { make, setAttribute } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { CAPTION_HEIGHT, cellId, PictureCell } from "./picture_cell.mjs";
import { moveTo, select, selectAll, selectNone, toggleOne } from "./selection.mjs";

/** @typedef {import("./desk.mjs").Desk} Desk */

const GAP = 12;
const ROWS_BEYOND = 1;

export class PictureGrid {
  /** @type {Map<string, PictureCell>} cells in the page, by picture id */
  #cells = new Map();
  #columns = 1;
  #side = 1;

  /** @param {Desk} desk @param {(id: string, size: number) => string} thumbnail @param {number} size of a cell */
  constructor(desk, thumbnail, size) {
    this.desk = desk;
    this.thumbnail = thumbnail;
    this.size = size;
    this.sheet = make("div.la-grid-sheet");
    this.none = make("p.la-none", { text: say("grid.none") });
    this.element = make(
      "div.la-grid",
      {
        role: "listbox",
        tabindex: "0",
        "aria-label": say("grid"),
        "aria-multiselectable": "true",
        on: {
          scroll: () => requestAnimationFrame(() => this.#drawCells()),
          click: (/** @type {MouseEvent} */ event) => this.#onClick(event),
          keydown: (/** @type {KeyboardEvent} */ event) => this.#onKey(event),
        },
      },
      this.sheet,
      this.none,
    );
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
    this.#showFocus();
  }

  draw() {
    const width = this.element.clientWidth - 2 * GAP;
    if (width <= 0) return;
    this.#columns = Math.max(1, Math.floor((width + GAP) / (this.size + GAP)));
    this.#side = Math.floor((width - GAP * (this.#columns - 1)) / this.#columns);
    const rows = Math.ceil(this.desk.shown.length / this.#columns);
    this.sheet.style.height = `${rows * this.#pitch + GAP}px`;
    this.none.hidden = rows > 0;
    this.#drawCells();
    const { focus } = this.desk.selection;
    setAttribute(this.element, "aria-activedescendant", this.#cells.has(focus ?? "") ? cellId(focus) : undefined);
  }

  get #pitch() {
    return this.#side + CAPTION_HEIGHT + GAP;
  }

  #drawCells() {
    const { shown } = this.desk;
    const first = Math.floor(this.element.scrollTop / this.#pitch) - ROWS_BEYOND;
    const last = Math.ceil((this.element.scrollTop + this.element.clientHeight) / this.#pitch) + ROWS_BEYOND;
    const visible = shown.slice(Math.max(0, first * this.#columns), Math.max(0, last * this.#columns));
    const wanted = new Set(visible);
    for (const [id, cell] of this.#cells) if (!wanted.has(id)) this.#discard(id, cell);
    visible.forEach((id, offset) => this.#place(id, Math.max(0, first * this.#columns) + offset));
  }

  #discard(id, cell) {
    cell.discard();
    this.#cells.delete(id);
  }

  #place(id, position) {
    let cell = this.#cells.get(id);
    if (!cell) {
      cell = new PictureCell(this.desk, id, this.thumbnail(id, this.#side > 256 ? 512 : 256));
      this.#cells.set(id, cell);
      this.sheet.append(cell.element);
    }
    const x = GAP + (position % this.#columns) * (this.#side + GAP);
    const y = GAP + Math.floor(position / this.#columns) * this.#pitch;
    cell.draw(position, x, y, this.#side);
  }

  /** Scroll so that the focused picture is in view. */
  #showFocus() {
    const position = this.desk.shown.indexOf(this.desk.selection.focus ?? "");
    if (position < 0) return;
    const top = Math.floor(position / this.#columns) * this.#pitch;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.#pitch + GAP > scrollTop + clientHeight) {
      this.element.scrollTop = top + this.#pitch + GAP - clientHeight;
    }
  }

  #onClick(event) {
    const id = event.target.closest(".la-cell")?.dataset.picture;
    if (id === undefined) return;
    const modifiers = { range: event.shiftKey, toggle: event.ctrlKey || event.metaKey };
    const isCheck = event.target.closest(".la-check") !== null;
    const { selection, shown } = this.desk;
    this.desk.select(isCheck ? toggleOne(selection, id) : select(selection, shown, id, modifiers));
  }

  #onKey(event) {
    const { selection, shown } = this.desk;
    const next = this.#afterKey(event, selection, shown);
    if (next === null) return;
    event.preventDefault();
    this.desk.select(next);
    this.#showFocus();
  }

  #afterKey(event, selection, shown) {
    const { key, shiftKey } = event;
    const isCommand = event.ctrlKey || event.metaKey;
    const at = shown.indexOf(selection.focus ?? "");
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.#pitch)) * this.#columns;
    const place = {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - this.#columns, ArrowDown: at + this.#columns,
      PageUp: at - page, PageDown: at + page, Home: 0, End: shown.length - 1,
    }[key];
    if (place !== undefined) return moveTo(selection, shown, place, { range: shiftKey, toggle: isCommand });
    if (key === " " && selection.focus !== null) return toggleOne(selection, selection.focus);
    if (key.toLowerCase() === "a" && isCommand) return selectAll(selection, shown);
    if (key === "Escape" && selection.ids.size > 0) return selectNone(selection);
    return null;
  }
}
