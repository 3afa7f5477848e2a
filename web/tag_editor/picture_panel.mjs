/** The right panel: one picture large, its caption tag by tag, and what else the tagger saw. */

import { button, icon, iconButton, make } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { plainTag } from "./captions.mjs";
import { chip, triggerChip } from "./chips.mjs";
import { moveTo } from "./selection.mjs";
import { TagInput } from "./tag_input.mjs";

/** @typedef {import("./desk.mjs").Desk} Desk @typedef {import("./board.mjs").Candidate} Candidate */

const PREVIEW_SIZE = 768;
const MOST_CANDIDATES = 40;

export class PicturePanel {
  #drawn = /** @type {{id: string | null, caption: unknown, candidates: unknown} | null} */ (null);

  /** @param {Desk} desk @param {import("./board.mjs").Board} board
   * @param {import("./candidates.mjs").Candidates} candidates */
  constructor(desk, board, candidates) {
    this.desk = desk;
    this.board = board;
    this.candidates = candidates;
    this.image = make("img.la-preview", { alt: "" });
    this.title = make("h2.la-picture-name");
    this.facts = make("p.la-facts");
    this.chips = make("div.la-chips");
    this.input = new TagInput(say("picture.addTag"), () => desk.trainingCounts, (tags) => this.#add(tags));
    this.textArea = make("textarea.la-input", { rows: "6", "aria-label": say("picture.asText"), on: {
      keydown: (/** @type {KeyboardEvent} */ event) => this.#onTextKey(event),
    } });
    this.textForm = make("div.la-text-form", {}, this.textArea, make("div.la-row", {},
      button(say("picture.textCancel"), () => this.#showText(false)),
      button(say("picture.textDone"), () => this.#writeText(), ".la-primary"),
    ));
    this.textButton = button(say("picture.asText"), () => this.#showText(true));
    this.revert = button(say("picture.revert"), () => this.desk.revert([this.id]));
    this.further = make("div");
    this.none = make("p.la-none", { text: say("picture.none") });
    this.content = make("div.la-picture", {},
      make("div.la-preview-box", {}, this.image,
        iconButton("previous", say("picture.previous"), () => this.#step(-1)),
        iconButton("next", say("picture.next"), () => this.#step(1))),
      make("div.la-picture-head", {}, this.title, this.facts),
      this.chips, this.textForm, this.input.element,
      make("div.la-row", {}, this.textButton, this.revert), this.further,
    );
    this.element = make("section.la-side", { "aria-label": say("picture") }, this.content, this.none);
  }

  get id() {
    return this.desk.selection.focus;
  }

  draw() {
    const { id, desk } = this;
    this.content.hidden = id === null;
    this.none.hidden = id !== null;
    if (id === null) return;
    const caption = desk.caption(id);
    const candidates = this.candidates.of(id);
    const drawn = this.#drawn;
    if (drawn?.id === id && drawn.caption === caption && drawn.candidates === candidates) return;
    if (drawn?.id !== id) this.#drawPicture(id);
    this.#drawn = { id, caption, candidates };
    this.revert.disabled = caption.edit === undefined;
    this.#drawChips(id);
    const others = caption.others.map((text) => make("p.la-other-caption", { text }));
    this.further.replaceChildren(
      ...section(say("picture.others"), others), ...this.#removed(id), ...this.#candidates(candidates, caption),
    );
  }

  focusInput() {
    this.input.focus();
  }

  #drawPicture(id) {
    const { name, width, height, source } = this.desk.pictures.get(id);
    this.image.src = this.board.thumbnail(id, PREVIEW_SIZE);
    this.title.textContent = name;
    this.title.title = name;
    this.facts.textContent = [`${width} × ${height}`, source].filter(Boolean).join(" · ");
    this.#showText(false);
    this.input.clear();
  }

  #drawChips(id) {
    const { desk } = this;
    const isTrained = !desk.pictures.get(id).is_regularisation;
    const { added } = desk.difference(id);
    const place = [...this.chips.querySelectorAll("button")].indexOf(/** @type {any} */ (document.activeElement));
    const chips = desk.trainedTags(id).map((tag) => {
      if (isTrained && desk.isTrigger(tag)) return triggerChip(desk, tag);
      const remove = iconButton("close", say("picture.removeTag", { tag }), () => desk.remove([id], [tag]));
      return chip(desk, tag, added.has(plainTag(tag)) ? ["added"] : [], remove);
    });
    if (chips.length === 0) chips.push(make("span.la-none", { text: say("grid.noCaption") }));
    this.chips.replaceChildren(...chips);
    if (place >= 0) this.#focusChip(place);
  }

  /** The chip that had the focus was taken away by the change it made. */
  #focusChip(place) {
    const buttons = this.chips.querySelectorAll("button");
    if (buttons.length === 0) this.input.focus();
    else buttons[Math.min(place, buttons.length - 1)].focus();
  }

  #removed(id) {
    const chips = this.desk.difference(id).removed.map((tag) => {
      const restore = iconButton("undo", say("picture.restoreTag", { tag }), () => this.desk.add([id], [tag]));
      return chip(this.desk, tag, ["removed"], restore);
    });
    return section(say("picture.removed"), chips);
  }

  #candidates(candidates, caption) {
    const unused = candidates.filter(({ tag }) => !caption.plain.has(plainTag(tag)) && !this.#isRemoved(tag, caption));
    const chips = unused.slice(0, MOST_CANDIDATES).map(({ tag, score, kind }) => {
      const percent = Math.round(100 * score);
      const label = say("picture.addCandidate", { tag, percent });
      return make(
        "button.la-chip.la-candidate",
        { "data-kind": kind, "aria-label": label, title: label, on: { click: () => this.desk.add([this.id], [tag]) } },
        icon("add"),
        make("span.la-chip-text", { text: tag }),
        make("span.la-score", { text: `${percent} %` }),
      );
    });
    return section(say("picture.candidates"), chips);
  }

  #isRemoved(tag, caption) {
    return (caption.edit?.remove ?? []).some((/** @type {string} */ removed) => plainTag(removed) === plainTag(tag));
  }

  #add(tags) {
    this.desk.add([this.id], tags);
    this.input.clear();
  }

  #step(by) {
    const { shown, selection } = this.desk;
    const place = shown.indexOf(this.id) + by;
    this.desk.select(moveTo(selection, shown, place, { range: false, toggle: false }));
  }

  #showText(isText) {
    this.textForm.hidden = !isText;
    this.chips.hidden = isText;
    this.input.element.hidden = isText;
    this.textButton.hidden = isText;
    if (!isText) return;
    this.textArea.value = this.desk.caption(this.id).text;
    this.textArea.focus();
  }

  #writeText() {
    this.desk.write(this.id, this.textArea.value);
    this.#showText(false);
    this.textButton.focus();
  }

  #onTextKey(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#writeText();
    else if (event.key === "Escape") this.#showText(false);
    else return;
    event.preventDefault();
  }
}

function section(title, parts) {
  return parts.length === 0 ? [] : [make("h3", { text: title }), make("div.la-chips", {}, ...parts)];
}
