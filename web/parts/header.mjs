/** The top of an editor: what is edited, whether it is saved, and what to do with it. */

import { say } from "../words.mjs";
import { button, iconButton, make } from "./element.mjs";

export class Header {
  /** @param {string} title @param {string} subject what is edited @param {import("./keyboard.mjs").Actions} actions
   * @param {...HTMLElement} more buttons before the one that saves */
  constructor(title, subject, actions, ...more) {
    this.undo = iconButton("undo", say("undo"), actions.undo);
    this.redo = iconButton("redo", say("redo"), actions.redo);
    this.state = make("span.la-state", { role: "status" });
    this.save = button(say("save"), actions.save, ".la-primary");
    this.element = make(
      "header.la-header",
      {},
      make("h1", { text: title }),
      make("span.la-subject", { text: subject }),
      make("span.la-spring"),
      this.state,
      this.undo,
      this.redo,
      ...more,
      this.save,
      iconButton("help", say("help"), actions.help),
      iconButton("close", say("close"), actions.close),
    );
  }

  /** @param {import("./history.mjs").History<any>} history @param {string} edited how much was
   * @param {boolean} isSaved */
  draw({ canUndo, canRedo }, edited, isSaved) {
    this.undo.disabled = !canUndo;
    this.redo.disabled = !canRedo;
    this.save.disabled = isSaved;
    this.state.textContent = isSaved ? edited : `${edited} · ${say("state.unsaved")}`;
    this.state.classList.toggle("la-unsaved", !isSaved);
  }
}
