/**
 * The crop editor: a window that shows what one Smart Crop node cuts out, and changes the node's overrides.
 *
 * @typedef {object} Session What the node gives the editor, and takes from it.
 * @property {string | null} board null before the first run
 * @property {string} overrides as the node holds them
 * @property {(overrides: string) => void} save
 */

import { notify } from "../host.mjs";
import { Dialog } from "../parts/dialog.mjs";
import { button, iconButton, make, setAttribute, slider } from "../parts/element.mjs";
import { showSheet } from "../parts/sheet.mjs";
import { say } from "../words.mjs";
import { CropBoard } from "./board.mjs";
import { CropGrid } from "./crop_grid.mjs";
import { CropDesk } from "./desk.mjs";
import { actOnKey, showKeyboardHelp } from "./keyboard.mjs";
import { readOverrides, writeOverrides } from "./overrides.mjs";

const FIRST_CELL_SIZE = 220;
const NOT_FOUND = 404;
const FILTERS = /** @type {const} */ (["all", "cut", "enlarged", "byHand"]);

/** @param {Session} session */
export async function openCropEditor(session) {
  const dialog = new Dialog(say("crops.title"), (event) => event.key === "Escape" && dialog.close());
  dialog.panel.append(make("p.la-empty", { role: "status", text: say("crops.loading") }));
  dialog.open();
  if (session.board === null) return tell(dialog, say("crops.emptyTitle"), say("crops.emptyText"));
  const board = new CropBoard(session.board);
  try {
    const content = await board.read();
    if (dialog.element.isConnected) new CropEditor(session, dialog, board, content);
  } catch (problem) {
    if (problem.status === NOT_FOUND) tell(dialog, say("crops.emptyTitle"), say("crops.emptyText"));
    else tell(dialog, say("crops.failed"), problem.message);
  }
}

function tell(dialog, title, text) {
  const close = button(say("close"), () => dialog.close(), ".la-primary");
  dialog.panel.replaceChildren(make("div.la-empty", {}, make("h1", { text: title }), make("p", { text }), close));
  close.focus();
}

class CropEditor {
  #isDrawing = false;

  constructor(session, dialog, board, content) {
    this.session = session;
    this.dialog = dialog;
    this.notices = make("div.la-notices");
    this.desk = new CropDesk(content, this.#readOverrides(), () => this.#drawSoon());
    this.saved = this.#text;
    this.actions = {
      undo: () => this.desk.undo(),
      redo: () => this.desk.redo(),
      save: () => this.#save(),
      help: () => showKeyboardHelp(dialog.element),
      close: () => this.#close(),
    };
    this.grid = new CropGrid(this.desk, (id, size) => board.thumbnail(id, size), FIRST_CELL_SIZE);
    dialog.panel.classList.add("la-crops");
    dialog.panel.replaceChildren(this.#header(content), this.#bar(), this.notices, this.grid.element);
    dialog.onKey = (/** @type {KeyboardEvent} */ event) => actOnKey(event, this.actions);
    this.grid.element.focus();
    this.#draw();
  }

  get #text() {
    return writeOverrides(this.desk.overrides);
  }

  #readOverrides() {
    try {
      return readOverrides(this.session.overrides);
    } catch {
      this.#notice(say("crops.unreadable"));
      return new Map();
    }
  }

  #notice(text) {
    const close = button(say("close"), () => notice.remove(), ".la-quiet");
    const notice = make("p.la-notice", { role: "status" }, make("span", { text }), close);
    this.notices.append(notice);
  }

  #header({ pictures }) {
    const { actions } = this;
    this.undo = iconButton("undo", say("undo"), actions.undo);
    this.redo = iconButton("redo", say("redo"), actions.redo);
    this.state = make("span.la-state", { role: "status" });
    this.saveButton = button(say("save"), actions.save, ".la-primary");
    return make(
      "header.la-header",
      {},
      make("h1", { text: say("crops.title") }),
      make("span.la-subject", { text: say("crops.count", { count: pictures.length }) }),
      make("span.la-spring"),
      this.state,
      this.undo,
      this.redo,
      this.saveButton,
      iconButton("help", say("help"), actions.help),
      iconButton("close", say("close"), actions.close),
    );
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

  #drawSoon() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#isDrawing = false;
    if (!this.dialog.element.isConnected) return;
    const { history, countByHand } = this.desk;
    const isSaved = this.#isSaved;
    const edited = say("crops.byHand", { count: countByHand });
    this.undo.disabled = !history.canUndo;
    this.redo.disabled = !history.canRedo;
    this.saveButton.disabled = isSaved;
    this.state.textContent = isSaved ? edited : `${edited} · ${say("state.unsaved")}`;
    this.state.classList.toggle("la-unsaved", !isSaved);
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
    this.notices.replaceChildren();
    notify("success", say("crops.saved"));
    this.#drawSoon();
  }

  async #close() {
    this.desk.commit();
    if (!this.#isSaved) {
      const [discard, save] = [say("crops.discard"), say("save")];
      const answer = await showSheet(this.dialog.element, say("crops.closeTitle"), [], [discard, save]);
      if (answer === null) return;
      if (answer === save) this.#save();
    }
    this.grid.destroy();
    this.dialog.close();
  }
}
