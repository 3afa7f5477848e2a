/**
 * The state of an open crop editor, without a page: each picture's window, which pictures are shown, which one has the
 * focus. Parts of the page read it and are told by `onChange` when to draw again.
 *
 * @typedef {import("./board.mjs").CropContent} CropContent
 * @typedef {import("./board.mjs").CroppedPicture} CroppedPicture
 * @typedef {import("./windows.mjs").Window} Window
 * @typedef {import("./shapes.mjs").Size} Size
 * @typedef {"all" | "cut" | "enlarged" | "byHand"} Filter
 *
 * @typedef {object} Crop A picture's window as it stands.
 * @property {Window} window
 * @property {Size} shape that it is trained at
 * @property {string} method What chose it: "override" for a hand.
 * @property {boolean} cutsSubject
 * @property {number} enlargedBy 1 where it is not enlarged
 */

import { History } from "../parts/history.mjs";
import { byPicture, valueOf, wishOf } from "./overrides.mjs";
import { nearestShape, shapeWithin } from "./shapes.mjs";
import { sizeOf, windowAroundBox, windowAtPlace } from "./windows.mjs";

/** Below it nobody sees the difference. */
const ENLARGED = 1.02;
export const BY_HAND = "override";

export class CropDesk {
  /** @type {{id: string, value: string} | null} a window that is being dragged */
  #preview = null;
  /** @type {Map<string, {value: string | undefined, crop: Crop}>} by picture id */
  #crops = new Map();
  /** @type {Map<string, readonly Size[]>} by picture id */
  #shapes = new Map();

  /** @param {CropContent} content @param {ReadonlyMap<string, string>} overrides @param {() => void} onChange */
  constructor(content, overrides, onChange) {
    this.content = content;
    this.onChange = onChange;
    this.pictures = new Map(content.pictures.map((picture) => [picture.id, picture]));
    this.history = new History(byPicture(overrides, content.pictures));
    this.filter = /** @type {Filter} */ ("all");
    this.shown = [...this.pictures.keys()];
    this.focus = this.shown[0] ?? null;
  }

  // ------------------------------------------------------------------------------------------------- windows

  /** @param {string} id @returns {Crop} */
  crop(id) {
    const picture = this.pictures.get(id);
    const value = this.#preview?.id === id ? this.#preview.value : this.history.values.get(picture.key);
    const known = this.#crops.get(id);
    if (known && known.value === value) return known.crop;
    const crop = value === undefined ? chosen(picture) : this.#setByHand(picture, value);
    this.#crops.set(id, { value, crop });
    return crop;
  }

  /** @param {string} id @returns {readonly Size[]} the shapes that a window of a picture may have */
  shapesOf(id) {
    const known = this.#shapes.get(id);
    if (known) return known;
    const { width, height } = this.pictures.get(id);
    const shapes = this.content.shapes.map((shape) => this.#filled([width, height], shape));
    this.#shapes.set(id, shapes);
    return shapes;
  }

  /** Pictures set by hand, shown or not. */
  get countByHand() {
    return this.content.pictures.filter(({ key }) => this.history.values.has(key)).length;
  }

  /** The overrides of the whole set, in its order, and after them those that name none of its pictures.
   * @returns {Map<string, string>} */
  get overrides() {
    const { values } = this.history;
    const ordered = this.content.pictures.map(({ key }) => key).filter((key) => values.has(key));
    return new Map([...new Set([...ordered, ...values.keys()])].map((key) => [key, values.get(key)]));
  }

  // -------------------------------------------------------------------------------------------------- editing

  /** Show a window that is not let go yet.
   * @param {string} id @param {Window} window */
  preview(id, window) {
    this.#preview = { id, value: valueOf(window) };
    this.onChange();
  }

  /** Let go of the window that is dragged, as one step. */
  commit() {
    if (this.#preview === null) return;
    const { id } = this.#preview;
    const { window } = this.crop(id);
    this.#preview = null;
    this.#record(id, valueOf(window));
  }

  /** Give a picture the window back that Smart Crop chose.
   * @param {string} id */
  reset(id) {
    this.#preview = null;
    this.#record(id, undefined);
  }

  undo() {
    this.#preview = null;
    if (this.history.undo().length > 0) this.onChange();
  }

  redo() {
    this.#preview = null;
    if (this.history.redo().length > 0) this.onChange();
  }

  // ---------------------------------------------------------------------------------------------------- shown

  /** Ask anew: a picture that is set by hand does not go from under the hand.
   * @param {Filter} filter */
  show(filter) {
    this.filter = filter;
    this.shown = [...this.pictures.keys()].filter((id) => this.#matches(id, filter));
    if (!this.shown.includes(this.focus ?? "")) this.focus = this.shown[0] ?? null;
    this.onChange();
  }

  /** @param {Filter} filter */
  countOf(filter) {
    return [...this.pictures.keys()].filter((id) => this.#matches(id, filter)).length;
  }

  /** @param {string} id */
  focusOn(id) {
    if (this.focus === id) return;
    this.focus = id;
    this.onChange();
  }

  #matches(id, filter) {
    const crop = this.crop(id);
    if (filter === "cut") return crop.cutsSubject;
    if (filter === "enlarged") return crop.enlargedBy > 1;
    return filter === "all" || crop.method === BY_HAND;
  }

  #record(id, value) {
    this.history.record(new Map([[this.pictures.get(id).key, value]]));
    this.onChange();
  }

  #setByHand(picture, value) {
    const size = /** @type {Size} */ ([picture.width, picture.height]);
    const wish = wishOf(value);
    if ("place" in wish) {
      const shape = this.#filled(size, nearestShape(size[0], size[1], this.content.shapes));
      return crop(windowAtPlace(wish.place, size, shape[0] / shape[1]), shape);
    }
    const [across, down] = sizeOf(wish.box);
    const shape = nearestShape(across, down, this.shapesOf(picture.id));
    return crop(windowAroundBox(wish.box, size, shape[0] / shape[1]), shape);
  }

  #filled(size, shape) {
    return this.content.enlarge ? shape : shapeWithin(size, shape, this.content.step);
  }
}

/** @param {CroppedPicture} picture @returns {Crop} */
function chosen({ window, shape, method, cuts_subject: cutsSubject }) {
  return { ...crop(window, shape), method, cutsSubject };
}

/** @returns {Crop} */
function crop(window, shape) {
  const enlargedBy = shape[0] / sizeOf(window)[0];
  return { window, shape, method: BY_HAND, cutsSubject: false, enlargedBy: enlargedBy > ENLARGED ? enlargedBy : 1 };
}
