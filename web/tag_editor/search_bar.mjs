/** Above the pictures: the search, the thresholds, the size of the pictures. */

import { button, icon, make, slider } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { QueryError } from "./query.mjs";

const SMALLEST_CELL = 110;
const LARGEST_CELL = 360;
const TYPING_MILLISECONDS = 150;

export class SearchBar {
  #typing = 0;

  /** @param {import("./desk.mjs").Desk} desk @param {import("./thresholds.mjs").ThresholdSliders | null} thresholds
   * @param {{value: number, onInput: (size: number) => void}} size of the pictures */
  constructor(desk, thresholds, size) {
    this.desk = desk;
    this.input = make("input.la-input.la-search-input", {
      type: "search",
      placeholder: `${say("search")}: ${say("search.hint")}`,
      "aria-label": say("search"),
      "aria-describedby": "la-search-error",
      spellcheck: "false",
      on: {
        input: () => this.#searchSoon(),
        keydown: (/** @type {KeyboardEvent} */ event) => this.#onKey(event),
      },
    });
    this.error = make("p.la-error", { id: "la-search-error", role: "alert", hidden: true });
    this.count = make("span.la-shown");
    this.outdated = make("span.la-outdated");
    this.refresh = button(say("outdated.refresh"), () => desk.refresh(), ".la-quiet");
    const sizes = slider({
      label: say("size"), least: SMALLEST_CELL, most: LARGEST_CELL, step: 10, value: size.value,
      show: () => "", onInput: size.onInput,
    });
    this.element = make(
      "div.la-search",
      { role: "search" },
      make("div.la-search-box", {}, icon("search"), this.input),
      this.error,
      make(
        "div.la-row.la-view",
        {},
        this.count,
        this.outdated,
        this.refresh,
        make("span.la-sliders", {}, ...(thresholds?.elements ?? []), sizes.element),
      ),
    );
  }

  draw() {
    const { desk } = this;
    const total = desk.pictures.size;
    const count = desk.shown.length;
    this.count.textContent = count === total ? say("shown.all", { total }) : say("shown", { count, total });
    const outdated = desk.outdatedCount;
    this.outdated.textContent = outdated > 0 ? say("outdated", { count: outdated }) : "";
    this.refresh.hidden = outdated === 0;
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  /** @param {string} query */
  search(query) {
    this.input.value = query;
    this.#search();
  }

  #searchSoon() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#search(), TYPING_MILLISECONDS);
  }

  #search() {
    clearTimeout(this.#typing);
    try {
      this.desk.search(this.input.value);
      this.error.hidden = true;
    } catch (problem) {
      if (!(problem instanceof QueryError)) throw problem;
      this.error.textContent = say(problem.key, { at: problem.at });
      this.error.hidden = false;
    }
  }

  #onKey(event) {
    if (event.isComposing) return;
    if (event.key === "Enter") this.#search();
    else if (event.key === "Escape" && this.input.value !== "") this.search("");
    else return;
    event.preventDefault();
  }
}
