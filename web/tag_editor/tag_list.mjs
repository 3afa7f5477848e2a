/** The left panel: every tag of the pictures shown, by kind, and what to do about those that nearly all have. */

import { button, icon, iconButton, make, setAttribute } from "../parts/element.mjs";
import { keepFocus } from "../parts/keep_focus.mjs";
import { say } from "../words.mjs";
import { plainTag } from "./captions.mjs";
import { conditionFor, conditionsOf, withTag } from "./query.mjs";
import { groupTags, isCommon, KINDS } from "./tag_counts.mjs";

/** @typedef {import("./desk.mjs").Desk} Desk */

const FIRST_OF_A_KIND = 40;
/** Kinds that have a reason of their own. */
const REASONS = ["clothes", "pose", "background"];

export class TagList {
  #order = /** @type {"count" | "name"} */ ("count");
  #unfolded = new Set();
  #conditions = new Set();
  #drawn = /** @type {{counts: unknown, query: string} | null} */ (null);

  /** @param {Desk} desk @param {(query: string) => void} search */
  constructor(desk, search) {
    this.desk = desk;
    this.search = search;
    this.filter = make("input.la-input", {
      type: "search",
      placeholder: say("tags.filter"),
      "aria-label": say("tags.filter"),
      on: { input: () => this.#redraw() },
    });
    this.sortButton = button("", () => this.#changeOrder(), ".la-quiet");
    this.list = make("div.la-tag-groups");
    this.element = make(
      "section.la-tags",
      { "aria-label": say("tags") },
      make("div.la-tags-head", {}, this.filter, this.sortButton),
      this.list,
    );
  }

  draw() {
    const { counts, queryText } = this.desk;
    if (this.#drawn?.counts === counts && this.#drawn.query === queryText) return;
    this.#drawn = { counts, query: queryText };
    this.sortButton.textContent = say(this.#order === "count" ? "tags.byCount" : "tags.byName");
    const { scrollTop } = this.list;
    this.#conditions = new Set(conditionsOf(queryText));
    const groups = groupTags(counts, this.#order, plainTag(this.filter.value));
    const none = groups.length === 0 ? make("p.la-none", { text: say("tags.none") }) : null;
    const parts = [this.#adviceCard(), ...groups.map((group) => this.#group(group)), none];
    keepFocus(this.list, () => this.list.replaceChildren(...parts.filter((part) => part !== null)));
    this.list.scrollTop = scrollTop;
  }

  #redraw() {
    this.#drawn = null;
    this.draw();
  }

  #changeOrder() {
    this.#order = this.#order === "count" ? "name" : "count";
    this.#redraw();
  }

  #group({ kind, tags }) {
    const isWhole = this.#unfolded.has(kind) || tags.length <= FIRST_OF_A_KIND;
    const rows = (isWhole ? tags : tags.slice(0, FIRST_OF_A_KIND)).map((tag) => this.#row(tag));
    const more = isWhole ? null : this.#moreButton(kind, tags.length - FIRST_OF_A_KIND);
    const name = KINDS.includes(kind) ? say(`kind.${kind}`) : kind;
    const head = make("h3", { "data-kind": kind }, make("span", { text: name }), count(tags.length));
    return make("div.la-group", {}, head, make("ul", {}, ...rows), more);
  }

  #moreButton(kind, hidden) {
    return button(say("tags.more", { count: hidden }), () => {
      this.#unfolded.add(kind);
      this.#redraw();
    }, ".la-quiet");
  }

  #row({ tag, kind, count: pictures }) {
    const query = this.desk.queryText;
    const isIn = (/** @type {boolean} */ isExcluded) => this.#conditions.has(conditionFor(tag, isExcluded));
    const include = make(
      "button.la-tag",
      {
        title: say("tags.include", { tag }),
        "aria-pressed": String(isIn(false)),
        "data-focus": `include ${tag}`,
        on: { click: (/** @type {MouseEvent} */ event) => this.search(withTag(query, tag, event.altKey)) },
      },
      make("span.la-tag-name", { text: tag }),
      count(pictures),
    );
    include.style.setProperty("--la-share", String(pictures / Math.max(1, this.desk.shown.length)));
    const exclude = iconButton("exclude", say("tags.exclude", { tag }), () => this.search(withTag(query, tag, true)));
    setAttribute(exclude, "aria-pressed", String(isIn(true)));
    exclude.dataset.focus = `exclude ${tag}`;
    return make("li", { "data-kind": kind }, include, exclude);
  }

  #adviceCard() {
    const { trainingIds, trainingCounts, advice } = this.desk;
    const common = trainingCounts.filter(({ tag, count: n }) => advice.has(tag) && isCommon(n, trainingIds.length));
    if (common.length === 0 || this.filter.value !== "") return null;
    const rows = common.sort((a, b) => b.count - a.count).map((entry) => this.#adviceRow(entry, trainingIds));
    return make("div.la-advice", {}, make("h3", { text: say("advice.title") }), make("ul", {}, ...rows));
  }

  #adviceRow({ tag, kind, count: pictures }, ids) {
    const { advice } = this.desk.advice.get(tag);
    const percent = Math.round((100 * pictures) / ids.length);
    const reason = say(`advice.${REASONS.includes(kind) ? kind : advice === "absorb" ? "fixed" : "other"}`);
    const label = say("tags.removeAll");
    const remove = make(
      "button.la-button.la-absorb",
      { title: reason, "aria-label": `${label}: ${tag}`, on: { click: () => this.desk.remove(ids, [tag]) } },
      icon("absorb"),
      make("span", { text: label }),
    );
    return make(
      "li",
      { "data-kind": kind, "data-advice": advice },
      make("span.la-tag-name", { text: tag, title: reason }),
      make("span.la-count", { text: `${percent} %`, title: say("advice.share", { percent }) }),
      advice === "absorb" ? remove : make("span.la-keep", { text: reason }),
    );
  }
}

function count(number) {
  return make("span.la-count", { text: number.toLocaleString() });
}
