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
  /** The caption as text, before anything is typed. */
  #text = "";

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
      button(say("picture.textDone"), () => this.finishText(), ".la-primary"),
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
    const others = section(say("picture.others"), caption.others.map((text) => make("p.la-other-caption", { text })));
    const further = [...others, ...this.#removed(id), ...this.#candidates(candidates, caption)];
    this.#put(this.chips, this.#chipsOf(id));
    this.#put(this.further, further);
  }

  focusInput() {
    this.input.focus();
  }

  /** Take over a caption that is being written as text: it is not lost by going on. */
  finishText() {
    if (this.textForm.hidden) return;
    const isHere = this.textForm.contains(document.activeElement);
    if (this.textArea.value !== this.#text) this.desk.write(this.#drawn.id, this.textArea.value);
    this.#showText(false);
    if (isHere) this.textButton.focus();
  }

  #drawPicture(id) {
    this.finishText();
    const { name, width, height, source } = this.desk.pictures.get(id);
    this.image.src = this.board.thumbnail(id, PREVIEW_SIZE);
    this.title.textContent = name;
    this.title.title = name;
    this.facts.textContent = [`${width} × ${height}`, source].filter(Boolean).join(" · ");
    this.input.clear();
  }

  #chipsOf(id) {
    const { desk } = this;
    const isTrained = !desk.pictures.get(id).is_regularisation;
    const { added } = desk.difference(id);
    const chips = desk.trainedTags(id).map((tag) => {
      if (isTrained && desk.isTrigger(tag)) return triggerChip(desk, tag);
      const remove = iconButton("close", say("picture.removeTag", { tag }), () => desk.remove([id], [tag]));
      return chip(desk, tag, added.has(plainTag(tag)) ? ["added"] : [], remove);
    });
    return chips.length > 0 ? chips : [make("span.la-none", { text: say("grid.noCaption") })];
  }

  /** A button that had the focus is taken away by the change it made: the next one gets it.
   * @param {HTMLElement} host @param {HTMLElement[]} parts */
  #put(host, parts) {
    const place = [...host.querySelectorAll("button")].indexOf(/** @type {any} */ (document.activeElement));
    host.replaceChildren(...parts);
    if (place < 0) return;
    const buttons = host.querySelectorAll("button");
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
    this.#text = this.desk.caption(this.id).text;
    this.textArea.value = this.#text;
    this.textArea.focus();
  }

  #onTextKey(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.finishText();
    else if (event.key === "Escape") this.#showText(false);
    else return;
    event.preventDefault();
  }
}

function section(title, parts) {
  return parts.length === 0 ? [] : [make("h3", { text: title }), make("div.la-chips", {}, ...parts)];
}
