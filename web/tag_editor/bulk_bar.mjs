/** Below the pictures: add, remove or replace tags on all selected pictures at once. */

import { button, iconButton, make, setAttribute } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { selectNone } from "./selection.mjs";
import { TagInput } from "./tag_input.mjs";

/** @typedef {"add" | "remove" | "replace"} Action */

/** @type {Action[]} */
const ACTIONS = ["add", "remove", "replace"];
const SHOWN_MILLISECONDS = 4000;

export class BulkBar {
  #action = /** @type {Action} */ ("add");
  #timer = 0;

  /** @param {import("./desk.mjs").Desk} desk */
  constructor(desk) {
    this.desk = desk;
    const known = () => desk.counts;
    this.first = new TagInput(say("bulk.tags"), known, () => this.#firstEntered());
    this.second = new TagInput(say("bulk.new"), known, () => this.#apply());
    this.choices = ACTIONS.map((action) => button(say(`bulk.${action}`), () => this.#choose(action), ".la-choice"));
    this.target = make("span.la-target");
    this.clear = iconButton("close", say("bulk.clear"), () => desk.select(selectNone(desk.selection)));
    this.applyButton = button(say("bulk.apply"), () => this.#apply(), ".la-primary");
    this.status = make("span.la-status", { role: "status" });
    this.element = make(
      "section.la-bulk",
      { "aria-label": say("bulk") },
      make("span.la-target-box", {}, this.target, this.clear),
      make("div.la-choices", { role: "group", "aria-label": say("bulk") }, ...this.choices),
      this.first.element,
      this.second.element,
      this.applyButton,
      this.status,
    );
    this.#choose("add");
  }

  draw() {
    const { selection, shown } = this.desk;
    const count = selection.ids.size;
    const others = shown.length > 0 ? say("bulk.all", { count: shown.length }) : say("bulk.none");
    this.target.textContent = count > 0 ? say("bulk.selected", { count }) : others;
    this.target.classList.toggle("la-strong", count > 0);
    this.clear.hidden = count === 0;
    this.applyButton.disabled = shown.length === 0;
  }

  #choose(action) {
    this.#action = action;
    ACTIONS.forEach((name, place) => setAttribute(this.choices[place], "aria-pressed", String(name === action)));
    this.first.rename(say(action === "replace" ? "bulk.old" : "bulk.tags"));
    this.second.element.hidden = action !== "replace";
  }

  #firstEntered() {
    if (this.#action === "replace") this.second.focus();
    else this.#apply();
  }

  #apply() {
    const tags = this.first.tags;
    if (tags.length === 0) return this.first.focus();
    const count = this.#change(this.desk.targets, tags);
    this.#tell(say("bulk.changed", { count }));
    this.first.clear();
    this.second.clear();
    this.first.focus();
  }

  #tell(text) {
    this.status.textContent = text;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.status.textContent = ""), SHOWN_MILLISECONDS);
  }

  #change(ids, tags) {
    if (this.#action === "add") return this.desk.add(ids, tags);
    if (this.#action === "remove") return this.desk.remove(ids, tags);
    return this.desk.replace(ids, tags[0], this.second.tags.join(", "));
  }
}
