/** One picture of the crop editor with its window, which a pointer moves and resizes. */

import { iconButton, make, setAttribute } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { BY_HAND } from "./desk.mjs";
import { cornerDragged, edgeDragged, moved, sizeOf } from "./windows.mjs";

/** Pixels below the picture; as the style sheet has it. */
export const TEXT_HEIGHT = 46;
const CORNERS = ["nw", "ne", "sw", "se"];
const EDGES = ["n", "e", "s", "w"];

export class CropCell {
  #crop = /** @type {unknown} */ (null);
  #side = 0;
  /** @type {{handle: string, x: number, y: number, window: import("./windows.mjs").Window} | null} */
  #grip = null;

  /** @param {import("./desk.mjs").CropDesk} desk @param {string} id @param {string} thumbnail its address */
  constructor(desk, id, thumbnail) {
    this.desk = desk;
    this.id = id;
    this.picture = desk.pictures.get(id);
    this.view = viewOf(this.picture);
    this.image = make("img.la-crop-image", { src: thumbnail, alt: "", decoding: "async", draggable: "false" });
    this.window = make("div.la-crop-window", {}, ...this.#handles());
    this.frame = make("div.la-crop-frame", {}, this.image, this.window);
    this.facts = make("span.la-crop-facts");
    this.warning = make("span.la-crop-warning");
    this.reset = iconButton("reset", say("crops.reset"), () => desk.reset(id));
    const on = {
      pointerdown: (event) => this.#press(event),
      pointermove: (event) => this.#drag(event),
      pointerup: () => this.#release(),
      pointercancel: () => this.#release(),
    };
    this.element = make(
      "div.la-crop-cell",
      { id: `la-crop-${id}`, role: "option", "data-picture": id, title: this.picture.name, on },
      make("div.la-crop-stage", {}, this.frame),
      make(
        "div.la-crop-text",
        {},
        make("div", {}, make("p.la-crop-name", { text: this.picture.name }), make("p", {}, this.facts, this.warning)),
        this.reset,
      ),
    );
  }

  /** @param {number} side in pixels */
  draw(side) {
    const { desk, id } = this;
    setAttribute(this.element, "aria-selected", String(desk.focus === id));
    const crop = desk.crop(id);
    if (crop === this.#crop && side === this.#side) return;
    this.#crop = crop;
    this.#side = side;
    this.#lay();
    this.#tell();
  }

  /** Put picture and window where they belong, in shares of the frame. */
  #lay() {
    const { view, picture } = this;
    const [across, down] = sizeOf(view);
    const scale = Math.min(this.#side / across, this.#side / down);
    this.frame.style.width = `${across * scale}px`;
    this.frame.style.height = `${down * scale}px`;
    place(this.image, [0, 0, picture.width, picture.height], view);
    place(this.window, this.desk.crop(this.id).window, view);
  }

  #tell() {
    const { window, method, cutsSubject, enlargedBy, shape } = this.desk.crop(this.id);
    const [width, height] = sizeOf(window);
    const kept = cutsSubject ? say("crops.kept", { percent: Math.round(this.picture.subject_kept * 100) }) : "";
    const enlarged = enlargedBy > 1 ? say("crops.enlargedBy", { factor: enlargedBy.toFixed(2) }) : "";
    this.facts.textContent = `${width} × ${height} · ${say(`cropMethod.${method}`)}`;
    this.warning.textContent = [kept, enlarged].filter(Boolean).map((warning) => ` · ${warning}`).join("");
    this.element.dataset.method = cutsSubject ? "cut" : method;
    this.facts.title = say("crops.trainedAt", { width: shape[0], height: shape[1] });
    this.reset.hidden = method !== BY_HAND;
    setAttribute(this.element, "aria-label", `${this.picture.name}: ${this.facts.textContent}${this.warning.textContent}`);
  }

  #handles() {
    const isFree = this.desk.content.shapes.length > 1;
    return [...CORNERS, ...(isFree ? EDGES : [])].map((handle) =>
      make(`span.la-crop-handle.la-crop-${handle}`, { "data-handle": handle }),
    );
  }

  #press(event) {
    this.desk.focusOn(this.id);
    const target = event.target.closest(".la-crop-handle, .la-crop-window");
    if (!target || event.button !== 0) return;
    const [x, y] = this.#pointAt(event);
    this.#grip = { handle: target.dataset.handle ?? "move", x, y, window: this.desk.crop(this.id).window };
    this.element.setPointerCapture(event.pointerId);
  }

  #drag(event) {
    if (this.#grip !== null) this.desk.preview(this.id, this.#windowAt(...this.#pointAt(event)));
  }

  #release() {
    this.#grip = null;
    this.desk.commit();
  }

  #windowAt(x, y) {
    const { handle, window, x: startX, y: startY } = this.#grip;
    const size = /** @type {import("./shapes.mjs").Size} */ ([this.picture.width, this.picture.height]);
    if (handle === "move") return moved(window, x - startX, y - startY, size);
    if (handle.length === 1) return edgeDragged(window, handle, x, y, size, this.desk.shapesOf(this.id));
    const { shape } = this.desk.crop(this.id);
    return cornerDragged(window, handle, x, y, size, shape[0] / shape[1]);
  }

  /** @returns {[number, number]} in pixels of the picture */
  #pointAt(event) {
    const { left, top, width, height } = this.frame.getBoundingClientRect();
    const [across, down] = sizeOf(this.view);
    return [
      this.view[0] + ((event.clientX - left) / width) * across, this.view[1] + ((event.clientY - top) / height) * down,
    ];
  }
}

/** What the frame shows: the picture, and beside it what a padded window takes in.
 * @returns {import("./windows.mjs").Window} */
function viewOf({ width, height, window: [left, top, right, bottom] }) {
  return [Math.min(0, left), Math.min(0, top), Math.max(width, right), Math.max(height, bottom)];
}

function place(element, [left, top, right, bottom], view) {
  const [across, down] = sizeOf(view);
  element.style.left = `${((left - view[0]) / across) * 100}%`;
  element.style.top = `${((top - view[1]) / down) * 100}%`;
  element.style.width = `${((right - left) / across) * 100}%`;
  element.style.height = `${((bottom - top) / down) * 100}%`;
}
