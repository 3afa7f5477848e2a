/** The top of the editor: what is edited, whether it is saved, and what to do with it. */

import { button, iconButton, make } from "../parts/element.mjs";
import { say } from "../words.mjs";

/** @typedef {{undo: () => void, redo: () => void, save: () => void, writeFiles: () => void, help: () => void,
 *   close: () => void}} Actions */

export class Header {
  /** @param {import("./desk.mjs").Desk} desk @param {Actions} actions */
  constructor(desk, actions) {
    this.desk = desk;
    const { model, can_write_files: canWrite } = desk.content;
    this.undo = iconButton("undo", say("undo"), actions.undo);
    this.redo = iconButton("redo", say("redo"), actions.redo);
    this.state = make("span.la-state", { role: "status" });
    this.save = button(say("save"), actions.save, ".la-primary");
    this.element = make(
      "header.la-header",
      {},
      make("h1", { text: say("title") }),
      make("span.la-subject", { text: model }),
      make("span.la-spring"),
      this.state,
      this.undo,
      this.redo,
      canWrite ? button(say("writeFiles"), actions.writeFiles) : null,
      this.save,
      iconButton("help", say("help"), actions.help),
      iconButton("close", say("close"), actions.close),
    );
  }

  /** @param {boolean} isSaved */
  draw(isSaved) {
    const { history, editedCount } = this.desk;
    this.undo.disabled = !history.canUndo;
    this.redo.disabled = !history.canRedo;
    this.save.disabled = isSaved;
    const edited = say(editedCount > 0 ? "node.edited" : "node.noEdits", { count: editedCount });
    this.state.textContent = isSaved ? edited : `${edited} · ${say("state.unsaved")}`;
    this.state.classList.toggle("la-unsaved", !isSaved);
  }
}
