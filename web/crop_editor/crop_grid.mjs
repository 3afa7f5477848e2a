/** All pictures shown, and what keys do to the window of the focused one. */

import { CellGrid } from "../parts/cell_grid.mjs";
import { say } from "../words.mjs";
import { CropCell, TEXT_HEIGHT } from "./crop_cell.mjs";
import { moved, scaled } from "./windows.mjs";

const LAYOUT = { gap: 14, below: TEXT_HEIGHT, thumbnails: [256, 512, 1024] };
/** Of the window, for one press. */
const LARGER = 1.03;

export class CropGrid extends CellGrid {
  /** @param {import("./desk.mjs").CropDesk} desk @param {(id: string, size: number) => string} thumbnail
   * @param {number} size of a cell */
  constructor(desk, thumbnail, size) {
    const pictures = {
      ids: () => desk.shown,
      focus: () => desk.focus,
      cell: (/** @type {string} */ id, /** @type {number} */ pixels) => new CropCell(desk, id, thumbnail(id, pixels)),
    };
    super(LAYOUT, pictures, size, { label: say("crops.pictures"), none: say("crops.none") });
    this.desk = desk;
    this.element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#onKey(event));
    for (const end of ["keyup", "blur"]) this.element.addEventListener(end, () => desk.commit());
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
    const { shown } = this.desk;
    const place = this.placeAfter(key);
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
