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

import { notify } from "../host/page.mjs";
import { openBoard } from "../parts/board_window.mjs";
import { button, make } from "../parts/element.mjs";
import { Header } from "../parts/header.mjs";
import { actOnKey, showKeyboardHelp } from "../parts/keyboard.mjs";
import { NextFrame } from "../parts/next_frame.mjs";
import { Notices } from "../parts/notices.mjs";
import { say } from "../words.mjs";
import { Board } from "./board.mjs";
import { BulkBar } from "./bulk_bar.mjs";
import { Candidates } from "./candidates.mjs";
import { offerCaptionFiles } from "./caption_files.mjs";
import { Desk } from "./desk.mjs";
import { dropDraft, keepDraft, readDraft } from "./draft.mjs";
import { readEdits, toJson, writeEdits } from "./edits.mjs";
import { PictureGrid } from "./picture_grid.mjs";
import { PicturePanel } from "./picture_panel.mjs";
import { SearchBar } from "./search_bar.mjs";
import { TagList } from "./tag_list.mjs";
import { ThresholdSliders } from "./thresholds.mjs";

const FIRST_CELL_SIZE = 160;

/** @param {Session} session */
export async function openEditor(session) {
  const board = session.board === null ? null : new Board(session.board);
  const sentences = {
    title: say("title"), loading: say("loading"), emptyTitle: say("empty.title"), emptyText: say("empty.text"),
    failed: say("failed.title"),
  };
  const opened = await openBoard(sentences, board, session.onClose);
  if (opened !== null) new Editor(session, opened.dialog, board, opened.content);
}

class Editor {
  #frame = new NextFrame(() => this.#draw());

  constructor(session, dialog, board, content) {
    this.session = session;
    this.board = board;
    this.dialog = dialog;
    this.saved = { edits: new Map(), thresholds: session.thresholds };
    const notice = this.#readSaved();
    const draft = readDraft(session.place);
    this.desk = new Desk(content, draft ?? this.saved, (change) => this.#changed(change));
    this.candidates = new Candidates(board, content.has_scores, () => this.#frame.ask());
    this.actions = {
      undo: () => this.desk.undo(),
      redo: () => this.desk.redo(),
      save: () => this.#save(),
      help: () => showKeyboardHelp(dialog.element, ownKeys(), say("keys.close"), say("keys.query")),
      close: () => this.#close(),
      search: () => this.searchBar.focus(),
      add: () => this.panel.focusInput(),
    };
    this.#build(content);
    const discard = { label: say("draft.discard"), act: () => this.#discardDraft() };
    const told = [notice, draft && say("draft.restored")].filter(Boolean).join(" ");
    if (told) this.notices.tell(told, draft ? discard : undefined);
    this.grid.element.focus();
    this.#draw();
  }

  #build(content) {
    const { desk, board, dialog } = this;
    const writeFiles = content.can_write_files ? [button(say("writeFiles"), () => this.#writeFiles())] : [];
    this.header = new Header(say("title"), content.model, this.actions, ...writeFiles);
    this.thresholds = content.has_scores ? new ThresholdSliders(desk, board, this.saved.thresholds) : null;
    this.grid = new PictureGrid(desk, (id, size) => board.thumbnail(id, size), FIRST_CELL_SIZE);
    const size = { value: FIRST_CELL_SIZE, onInput: (/** @type {number} */ wanted) => this.grid.resize(wanted) };
    this.searchBar = new SearchBar(desk, this.thresholds, size);
    this.tagList = new TagList(desk, (query) => this.searchBar.search(query));
    this.bulkBar = new BulkBar(desk);
    this.panel = new PicturePanel(desk, board, this.candidates);
    this.notices = new Notices();
    const middle = make("main.la-middle", {}, this.searchBar.element, this.grid.element, this.bulkBar.element);
    const columns = make("div.la-columns", {}, this.tagList.element, middle, this.panel.element);
    dialog.panel.replaceChildren(this.header.element, this.notices.element, columns);
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
    this.#frame.ask();
  }

  #keepDraft() {
    const { place } = this.session;
    if (this.#isSaved) dropDraft(place);
    else if (!keepDraft(place, { edits: this.desk.history.values, thresholds: this.desk.thresholds })) {
      this.notices.tell(say("draft.full"));
    }
  }

  #draw() {
    if (!this.dialog.isOpen) return;
    const { history, editedCount } = this.desk;
    const edited = say(editedCount > 0 ? "node.edited" : "node.noEdits", { count: editedCount });
    this.header.draw(history, edited, this.#isSaved);
    const { thresholds, searchBar, tagList, grid, bulkBar, panel } = this;
    for (const part of [thresholds, searchBar, tagList, grid, bulkBar, panel]) part?.draw();
  }

  #discardDraft() {
    this.desk.restore(this.saved);
    this.thresholds?.show();
  }

  #save() {
    this.panel.finishText();
    const { thresholds, history } = this.desk;
    this.saved = { edits: new Map(history.values), thresholds };
    dropDraft(this.session.place); // before the node looks whether there is one
    this.session.save(writeEdits(history.values), thresholds);
    this.notices.clear();
    notify("success", say("saved"));
    this.#frame.ask();
  }

  #writeFiles() {
    this.panel.finishText();
    const { desk, board, dialog } = this;
    const { general, character } = desk.effectiveThresholds;
    const captions = () => ({ threshold: general, character_threshold: character, edits: toJson(desk.history.values) });
    return offerCaptionFiles(dialog.element, desk.pictures.size, () => board.writeFiles(captions()));
  }

  #close() {
    this.panel.finishText();
    this.grid.destroy();
    this.thresholds?.destroy();
    this.dialog.close();
  }
}

/** Those that no other editor has, and what they do. */
function ownKeys() {
  return [
    ["← → ↑ ↓", say("keys.move")],
    ["Home / End", say("keys.ends")],
    ["Shift", say("keys.range")],
    ["Space", say("keys.toggle")],
    ["Ctrl + A", say("keys.all")],
    ["/", say("keys.search")],
    ["T", say("keys.add")],
    [say("keys.altClick"), say("keys.exclude")],
  ];
}
