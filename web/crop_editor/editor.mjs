/**
 * The crop editor: a window that shows what one Smart Crop node cuts out, and changes the node's overrides.
 *
 * @typedef {object} Session What the node gives the editor, and takes from it.
 * @property {string | null} board null before the first run
 * @property {string} overrides as the node holds them
 * @property {(overrides: string) => void} save
 */

import { notify } from "../host/page.mjs";
import { openBoard } from "../parts/board_window.mjs";
import { button, make, setAttribute, slider } from "../parts/element.mjs";
import { Header } from "../parts/header.mjs";
import { actOnKey, showKeyboardHelp } from "../parts/keyboard.mjs";
import { NextFrame } from "../parts/next_frame.mjs";
import { Notices } from "../parts/notices.mjs";
import { showSheet } from "../parts/sheet.mjs";
import { say } from "../words.mjs";
import { CropBoard } from "./board.mjs";
import { CropGrid } from "./crop_grid.mjs";
import { CropDesk } from "./desk.mjs";
import { readOverrides, writeOverrides } from "./overrides.mjs";

const FIRST_CELL_SIZE = 220;
const FILTERS = /** @type {const} */ (["all", "cut", "enlarged", "byHand"]);

/** @param {Session} session */
export async function openCropEditor(session) {
  const board = session.board === null ? null : new CropBoard(session.board);
  const sentences = {
    title: say("crops.title"), loading: say("crops.loading"), emptyTitle: say("crops.emptyTitle"),
    emptyText: say("crops.emptyText"), failed: say("crops.failed"),
  };
  const opened = await openBoard(sentences, board, () => {});
  if (opened !== null) new CropEditor(session, opened.dialog, board, opened.content);
}

class CropEditor {
  #frame = new NextFrame(() => this.#draw());

  constructor(session, dialog, board, content) {
    this.session = session;
    this.dialog = dialog;
    this.notices = new Notices();
    this.desk = new CropDesk(content, this.#readOverrides(), () => this.#frame.ask());
    this.saved = this.#text;
    this.actions = {
      undo: () => this.desk.undo(),
      redo: () => this.desk.redo(),
      save: () => this.#save(),
      help: () => showKeyboardHelp(dialog.element, ownKeys(), say("cropKeys.close")),
      close: () => this.#close(),
    };
    const subject = say("crops.count", { count: content.pictures.length });
    this.header = new Header(say("crops.title"), subject, this.actions);
    this.grid = new CropGrid(this.desk, (id, size) => board.thumbnail(id, size), FIRST_CELL_SIZE);
    dialog.panel.classList.add("la-crops");
    dialog.panel.replaceChildren(this.header.element, this.#bar(), this.notices.element, this.grid.element);
    dialog.onKey = (/** @type {KeyboardEvent} */ event) => actOnKey(event, this.actions);
    addEventListener("beforeunload", this.#keepPage);
    this.grid.element.focus();
    this.#draw();
  }

  /** Ask before changes are lost with the page. */
  #keepPage = (/** @type {Event} */ event) => {
    if (this.dialog.isOpen && !this.#isSaved) event.preventDefault();
  };

  get #text() {
    return writeOverrides(this.desk.overrides);
  }

  #readOverrides() {
    try {
      return readOverrides(this.session.overrides);
    } catch {
      this.notices.tell(say("crops.unreadable"));
      return new Map();
    }
  }

  #bar() {
    this.filters = FILTERS.map((filter) => button("", () => this.desk.show(filter), ".la-choice"));
    const size = slider({
      label: say("size"), least: 140, most: 720, step: 20, value: FIRST_CELL_SIZE, show: () => "",
      onInput: (wanted) => this.grid.resize(wanted),
    });
    return make(
      "div.la-crop-bar",
      {},
      make("div.la-choices", { role: "group", "aria-label": say("crops.filter") }, ...this.filters),
      make("span.la-crop-hint", { text: say("crops.hint") }),
      make("span.la-spring"),
      size.element,
    );
  }

  #draw() {
    if (!this.dialog.isOpen) return;
    const { history, countByHand } = this.desk;
    this.header.draw(history, say("crops.byHand", { count: countByHand }), this.#isSaved);
    this.#drawFilters();
    this.grid.draw();
    const focused = /** @type {HTMLButtonElement | null} */ (document.activeElement);
    if (focused?.disabled) this.grid.element.focus(); // a button that was just disabled swallows the keys
  }

  #drawFilters() {
    FILTERS.forEach((filter, place) => {
      const choice = this.filters[place];
      choice.textContent = say(`cropFilter.${filter}`, { total: this.desk.countOf(filter) });
      setAttribute(choice, "aria-pressed", String(this.desk.filter === filter));
    });
  }

  get #isSaved() {
    return this.#text === this.saved;
  }

  #save() {
    this.desk.commit();
    this.saved = this.#text;
    this.session.save(this.saved);
    this.notices.clear();
    notify("success", say("crops.saved"));
    this.#frame.ask();
  }

  async #close() {
    this.desk.commit();
    if (!this.#isSaved) {
      const [discard, save] = [say("crops.discard"), say("save")];
      const answer = await showSheet(this.dialog.element, say("crops.closeTitle"), [], [discard, save]);
      if (answer === null) return;
      if (answer === save) this.#save();
    }
    removeEventListener("beforeunload", this.#keepPage);
    this.grid.destroy();
    this.dialog.close();
  }
}

/** Those that no other editor has, and what they do. */
function ownKeys() {
  return [
    ["← → ↑ ↓", say("cropKeys.nudge")],
    ["Shift", say("cropKeys.far")],
    ["+ / −", say("cropKeys.scale")],
    ["Ctrl + ← → ↑ ↓", say("cropKeys.move")],
    ["Del", say("cropKeys.reset")],
  ];
}
