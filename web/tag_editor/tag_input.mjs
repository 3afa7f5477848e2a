/** A text field for tags that offers those that the pictures have. */

import { make, setAttribute } from "../parts/element.mjs";
import { plainTag, splitTags } from "./captions.mjs";
import { suggestTags } from "./tag_counts.mjs";

const MOST_SUGGESTIONS = 8;
let lastNumber = 0;

export class TagInput {
  #list;
  #input;
  #active = -1;

  /** @param {string} label @param {() => readonly import("./tag_counts.mjs").TagCount[]} known
   * @param {(tags: string[]) => void} onEnter also with no tags */
  constructor(label, known, onEnter) {
    this.known = known;
    this.onEnter = onEnter;
    const id = `la-suggestions-${++lastNumber}`;
    this.#list = make("ul.la-suggestions", { id, role: "listbox", "aria-label": label, hidden: true });
    this.#input = make("input.la-input", {
      type: "text",
      role: "combobox",
      placeholder: label,
      autocomplete: "off",
      spellcheck: "false",
      "aria-label": label,
      "aria-autocomplete": "list",
      "aria-controls": id,
      "aria-expanded": "false",
      on: {
        input: () => this.#suggest(),
        blur: () => this.#closeList(),
        keydown: (/** @type {KeyboardEvent} */ event) => this.#onKey(event),
      },
    });
    this.element = make("div.la-tag-input", {}, this.#input, this.#list);
  }

  get tags() {
    return splitTags(this.#input.value);
  }

  /** @param {string} label */
  rename(label) {
    setAttribute(this.#input, "placeholder", label);
    setAttribute(this.#input, "aria-label", label);
  }

  clear() {
    this.#input.value = "";
    this.#closeList();
  }

  focus() {
    this.#input.focus();
  }

  #onKey(event) {
    if (event.isComposing) return;
    const count = this.#list.children.length;
    if (event.key === "ArrowDown" && count > 0) this.#highlight((this.#active + 1) % count);
    else if (event.key === "ArrowUp" && count > 0) this.#highlight((this.#active - 1 + count) % count);
    else if (event.key === "Escape" && count > 0) this.#closeList();
    else if (event.key === "Enter" && this.#active >= 0) this.#take(this.#list.children[this.#active].dataset.tag);
    else if (event.key === "Enter") this.#enter();
    else return;
    event.preventDefault();
  }

  #enter() {
    const { tags } = this;
    this.#closeList();
    this.onEnter(tags);
  }

  #suggest() {
    const typed = plainTag(this.#input.value.split(",").pop());
    const options = suggestTags(this.known(), typed, MOST_SUGGESTIONS).map(({ tag, count, kind }, place) =>
      make(
        "li",
        // Before the field loses the focus, which closes the list.
        { id: `${this.#list.id}-${place}`, role: "option", "data-tag": tag, "data-kind": kind,
          on: { mousedown: (event) => this.#choose(event, tag) } },
        make("span", { text: tag }),
        make("span.la-count", { text: String(count) }),
      ),
    );
    this.#list.replaceChildren(...options);
    this.#list.hidden = options.length === 0;
    setAttribute(this.#input, "aria-expanded", String(options.length > 0));
    this.#active = -1;
    setAttribute(this.#input, "aria-activedescendant", undefined);
  }

  #choose(event, tag) {
    event.preventDefault();
    this.#take(tag);
  }

  #take(tag) {
    const others = splitTags(this.#input.value).slice(0, -1);
    this.#input.value = [...others, tag].join(", ");
    this.#closeList();
  }

  #highlight(place) {
    this.#active = place;
    [...this.#list.children].forEach((option, at) => setAttribute(option, "aria-selected", String(at === place)));
    setAttribute(this.#input, "aria-activedescendant", this.#list.children[place].id);
  }

  #closeList() {
    this.#list.replaceChildren();
    this.#list.hidden = true;
    this.#active = -1;
    setAttribute(this.#input, "aria-expanded", "false");
    setAttribute(this.#input, "aria-activedescendant", undefined);
  }
}
