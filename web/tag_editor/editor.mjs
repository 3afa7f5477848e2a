/**
 * The tag editor: a window that shows the board of one Auto Tag node and changes the node's edits.
 *
 * @typedef {object} Session What the node gives the editor, and takes from it.
 * @property {string | null} board null before the first run
 * @property {string} place where drafts are kept
 * @property {string} edits as the node holds them
 * @property {import("./draft.mjs").Thresholds} thresholds as the node holds them
 * @property {(edits: string, thresholds: import("./draft.mjs").Thresholds) => void} save
 * @property {() => void} onClose
 */

import { notify } from "../host.mjs";
import { Dialog } from "../parts/dialog.mjs";
import { button, make } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { Board } from "./board.mjs";
import { BulkBar } from "./bulk_bar.mjs";
import { Candidates } from "./candidates.mjs";
import { offerCaptionFiles } from "./caption_files.mjs";
import { Desk } from "./desk.mjs";
import { dropDraft, keepDraft, readDraft } from "./draft.mjs";
import { readEdits, toJson, writeEdits } from "./edits.mjs";
import { Header } from "./header.mjs";
import { actOnKey, showKeyboardHelp } from "./keyboard.mjs";
import { PictureGrid } from "./picture_grid.mjs";
import { PicturePanel } from "./picture_panel.mjs";
import { SearchBar } from "./search_bar.mjs";
import { TagList } from "./tag_list.mjs";
import { ThresholdSliders } from "./thresholds.mjs";

const FIRST_CELL_SIZE = 160;
const NOT_FOUND = 404;

/** @param {Session} session */
export async function openEditor(session) {
  const window = new EmptyWindow(session);
  if (session.board === null) return window.tell(say("empty.title"), say("empty.text"));
  const board = new Board(session.board);
  try {
    const content = await board.read();
    if (window.isOpen) new Editor(session, window.dialog, board, content);
  } catch (problem) {
    if (problem.status === NOT_FOUND) window.tell(say("empty.title"), say("empty.text"));
    else window.tell(say("failed.title"), problem.message);
  }
}

/** What is seen before the board is here, or instead of it. */
class EmptyWindow {
  constructor(session) {
    this.dialog = new Dialog(say("title"), (event) => {
      if (event.key === "Escape") this.close();
    });
    this.onClose = session.onClose;
    this.dialog.panel.append(make("p.la-empty", { role: "status", text: say("loading") }));
    this.dialog.open();
  }

  get isOpen() {
    return this.dialog.element.isConnected;
  }

  tell(title, text) {
    const close = button(say("close"), () => this.close(), ".la-primary");
    const message = make("div.la-empty", {}, make("h1", { text: title }), make("p", { text }), close);
    this.dialog.panel.replaceChildren(message);
    close.focus();
  }

  close() {
    this.dialog.close();
    this.onClose();
  }
}

class Editor {
  #isDrawing = false;

  constructor(session, dialog, board, content) {
    this.session = session;
    this.board = board;
    this.dialog = dialog;
    this.saved = { edits: new Map(), thresholds: session.thresholds };
    const notice = this.#readSaved();
    const draft = readDraft(session.place);
    this.desk = new Desk(content, draft ?? this.saved, (change) => this.#changed(change));
    this.candidates = new Candidates(board, content.has_scores, () => this.#drawSoon());
    this.actions = {
      undo: () => this.desk.undo(),
      redo: () => this.desk.redo(),
      save: () => this.#save(),
      writeFiles: () => this.#writeFiles(),
      help: () => showKeyboardHelp(dialog.element),
      close: () => this.#close(),
      search: () => this.searchBar.focus(),
      add: () => this.panel.focusInput(),
    };
    this.#build(content);
    if (notice !== null) this.#notice(notice, null);
    if (draft !== null) this.#notice(say("draft.restored"), () => this.#discardDraft());
    this.grid.element.focus();
    this.#draw();
  }

  #build(content) {
    const { desk, board, dialog } = this;
    this.header = new Header(desk, this.actions);
    this.thresholds = content.has_scores ? new ThresholdSliders(desk, board, this.saved.thresholds) : null;
    this.grid = new PictureGrid(desk, (id, size) => board.thumbnail(id, size), FIRST_CELL_SIZE);
    const size = { value: FIRST_CELL_SIZE, onInput: (/** @type {number} */ wanted) => this.grid.resize(wanted) };
    this.searchBar = new SearchBar(desk, this.thresholds, size);
    this.tagList = new TagList(desk, (query) => this.searchBar.search(query));
    this.bulkBar = new BulkBar(desk);
    this.panel = new PicturePanel(desk, board, this.candidates);
    this.notices = make("div.la-notices");
    const middle = make("main.la-middle", {}, this.searchBar.element, this.grid.element, this.bulkBar.element);
    const columns = make("div.la-columns", {}, this.tagList.element, middle, this.panel.element);
    dialog.panel.replaceChildren(this.header.element, this.notices, columns);
    dialog.onKey = (/** @type {KeyboardEvent} */ event) => actOnKey(event, this.actions);
  }

  /** @returns {string | null} what is wrong with the node's edits */
  #readSaved() {
    try {
      this.saved.edits = readEdits(this.session.edits);
      return null;
    } catch {
      return say("node.unreadable");
    }
  }

  get #isSaved() {
    const { general, character } = this.desk.thresholds;
    const { edits, thresholds } = this.saved;
    const isSame = general === thresholds.general && character === thresholds.character;
    return isSame && writeEdits(this.desk.history.values) === writeEdits(edits);
  }

  #changed({ captions }) {
    if (captions) this.#keepDraft();
    this.#drawSoon();
  }

  #keepDraft() {
    const { place } = this.session;
    if (this.#isSaved) dropDraft(place);
    else if (!keepDraft(place, { edits: this.desk.history.values, thresholds: this.desk.thresholds })) {
      this.#notice(say("draft.full"), null);
    }
  }

  #drawSoon() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#isDrawing = false;
    if (!this.dialog.element.isConnected) return;
    this.header.draw(this.#isSaved);
    const { thresholds, searchBar, tagList, grid, bulkBar, panel } = this;
    for (const part of [thresholds, searchBar, tagList, grid, bulkBar, panel]) part?.draw();
  }

  #notice(text, discard) {
    const close = button(say("close"), () => notice.remove(), ".la-quiet");
    const act = () => {
      discard();
      notice.remove();
    };
    const actions = discard === null ? [close] : [button(say("draft.discard"), act, ".la-quiet"), close];
    const notice = make("p.la-notice", { role: "status" }, make("span", { text }), ...actions);
    this.notices.replaceChildren(notice);
  }

  #discardDraft() {
    this.desk.restore(this.saved);
    this.thresholds?.show();
  }

  #save() {
    const { thresholds, history } = this.desk;
    this.saved = { edits: new Map(history.values), thresholds };
    this.session.save(writeEdits(history.values), thresholds);
    dropDraft(this.session.place);
    this.notices.replaceChildren();
    notify("success", say("saved"));
    this.#drawSoon();
  }

  #writeFiles() {
    const { desk, board, dialog } = this;
    const { general, character } = desk.effectiveThresholds;
    const captions = () => ({ threshold: general, character_threshold: character, edits: toJson(desk.history.values) });
    return offerCaptionFiles(dialog.element, desk.pictures.size, () => board.writeFiles(captions()));
  }

  #close() {
    this.grid.destroy();
    this.thresholds?.destroy();
    this.dialog.close();
    this.session.onClose();
  }
}
