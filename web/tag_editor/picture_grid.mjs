/** The middle: all pictures shown, and which of them a press or a key selects. */

import { CellGrid } from "../parts/cell_grid.mjs";
import { setAttribute } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { CAPTION_HEIGHT, PictureCell } from "./picture_cell.mjs";
import { moveTo, select, selectAll, selectNone, toggleOne } from "./selection.mjs";

const LAYOUT = { gap: 12, below: CAPTION_HEIGHT, thumbnails: [256, 512] };

export class PictureGrid extends CellGrid {
  /** @param {import("./desk.mjs").Desk} desk @param {(id: string, size: number) => string} thumbnail
   * @param {number} size of a cell */
  constructor(desk, thumbnail, size) {
    const pictures = {
      ids: () => desk.shown,
      focus: () => desk.selection.focus,
      cell: (/** @type {string} */ id, /** @type {number} */ pixels) => new PictureCell(desk, id, thumbnail(id, pixels)),
    };
    super(LAYOUT, pictures, size, { label: say("grid"), none: say("grid.none") });
    this.desk = desk;
    setAttribute(this.element, "aria-multiselectable", "true");
    this.element.addEventListener("click", (/** @type {MouseEvent} */ event) => this.#onClick(event));
    this.element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#onKey(event));
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
    const next = this.#afterKey(event);
    if (next === null) return;
    event.preventDefault();
    this.desk.select(next);
    this.showFocus();
  }

  /** @returns {import("./selection.mjs").Selection | null} */
  #afterKey({ key, shiftKey, ctrlKey, metaKey }) {
    const { selection, shown } = this.desk;
    const isCommand = ctrlKey || metaKey;
    const place = this.placeAfter(key);
    if (place !== undefined) return moveTo(selection, shown, place, { range: shiftKey, toggle: isCommand });
    if (key === " " && selection.focus !== null) return toggleOne(selection, selection.focus);
    if (key.toLowerCase() === "a" && isCommand) return selectAll(selection, shown);
    if (key === "Escape" && selection.ids.size > 0) return selectNone(selection);
    return null;
  }
}
