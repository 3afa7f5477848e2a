/** One picture of the grid with the beginning of its caption. */

import { icon, make, setAttribute } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { plainTag } from "./captions.mjs";
import { chip, triggerChip } from "./chips.mjs";

/** Pixels below the picture; as the style sheet has it. */
export const CAPTION_HEIGHT = 82;
const MOST_CHIPS = 14;

export class PictureCell {
  #caption = /** @type {unknown} */ (null);

  /** @param {import("./desk.mjs").Desk} desk @param {string} id @param {string} thumbnail its address */
  constructor(desk, id, thumbnail) {
    this.desk = desk;
    this.id = id;
    const { name, is_regularisation: isRegularisation } = desk.pictures.get(id);
    this.image = make("img", { src: thumbnail, alt: "", decoding: "async", draggable: "false" });
    this.marks = make("div.la-marks");
    if (isRegularisation) this.marks.append(make("span.la-badge", { text: say("grid.regularisation") }));
    this.edited = make("span.la-badge.la-edited", { text: say("grid.edited") });
    this.marks.append(this.edited);
    this.chips = make("div.la-cell-chips");
    const check = make("span.la-check", { "aria-hidden": "true" }, icon("check"));
    this.element = make(
      "div.la-cell",
      { id: `la-picture-${id}`, role: "option", "data-picture": id, "aria-label": name, title: name },
      make("div.la-thumb", {}, this.image, this.marks, check),
      this.chips,
    );
  }

  draw() {
    const { selection } = this.desk;
    setAttribute(this.element, "aria-selected", String(selection.ids.has(this.id)));
    this.element.classList.toggle("la-focused", selection.focus === this.id);
    const caption = this.desk.caption(this.id);
    if (caption === this.#caption) return;
    this.#caption = caption;
    this.edited.hidden = caption.edit === undefined;
    this.chips.replaceChildren(...this.#chips());
    setAttribute(this.element, "aria-description", this.desk.trainedTags(this.id).join(", "));
  }

  /** What changed comes first: the room is small. */
  #chips() {
    const { desk, id } = this;
    const isTrained = !desk.pictures.get(id).is_regularisation;
    const tags = desk.trainedTags(id);
    const { added, removed } = desk.difference(id);
    const isTrigger = (/** @type {string} */ tag) => isTrained && desk.isTrigger(tag);
    const isAdded = (/** @type {string} */ tag) => added.has(plainTag(tag)) && !isTrigger(tag);
    const rest = tags.filter((tag) => !isTrigger(tag) && !isAdded(tag));
    const chips = [
      ...tags.filter(isTrigger).map((tag) => triggerChip(desk, tag)),
      ...tags.filter(isAdded).map((tag) => chip(desk, tag, ["added"])),
      ...removed.map((tag) => chip(desk, tag, ["removed"])),
      ...rest.slice(0, MOST_CHIPS).map((tag) => chip(desk, tag, [])),
    ];
    return chips.length > 0 ? chips : [make("span.la-none", { text: say("grid.noCaption") })];
  }
}
