/** The loss of each picture, the hardest first: of the base model faint, now solid. */

import { make } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { pictureAddress } from "./run_pictures.mjs";
import { Seen } from "./seen.mjs";

/** @typedef {{name: string, is_held_out: boolean, first: number, last: number, gain: number}} PictureLoss */

/** Pixels, for what a picture grows to under the pointer. */
const SIDE = 256;

export class PictureLosses {
  #seen = new Seen();

  constructor() {
    this.element = make("div");
  }

  /** @param {string} run @param {PictureLoss[]} pictures */
  show(run, pictures) {
    if (!this.#seen.isNews(pictures)) return;
    if (pictures.length === 0) return this.element.replaceChildren(make("p.la-none", { text: say("view.noPictures") }));
    const most = Math.max(Number.MIN_VALUE, ...pictures.flatMap(({ first, last }) => [first, last]));
    const title = (/** @type {string} */ text) => make("th", { text, scope: "col" });
    const titles = [title(say("view.picture")), make("td"), title(say("view.lossNow")), title(say("view.gain"))];
    this.element.replaceChildren(
      make(
        "table.la-losses",
        {},
        make("thead", {}, make("tr", {}, ...titles)),
        make("tbody", {}, ...pictures.map((picture) => line(run, picture, most))),
      ),
    );
  }
}

function line(run, { name, is_held_out, first, last, gain }, most) {
  const title = say("view.lossFromTo", { first: first.toPrecision(3), last: last.toPrecision(3) });
  const bar = make("div.la-losses-bar", { title });
  bar.style.setProperty("--la-first", `${(100 * first) / most}%`);
  bar.style.setProperty("--la-last", `${(100 * last) / most}%`);
  const badge = is_held_out ? make("span.la-mark", { text: say("line.heldOut") }) : null;
  return make(
    "tr",
    { "data-held-out": is_held_out },
    make("th", { scope: "row", title: name }, face(run, name), make("span", { text: name }), badge),
    make("td", {}, bar),
    make("td", { text: last.toPrecision(3) }),
    make("td", { text: percent(gain), "data-worse": gain <= 0 }),
  );
}

function face(run, name) {
  const picture = make("img", {
    src: pictureAddress(run, SIDE, name), alt: "", loading: "lazy", draggable: "false",
    on: { error: () => picture.toggleAttribute("data-lost", true) },
  });
  return make("div.la-losses-face", {}, picture); // keeps its place, and the pointer, while the picture grows
}

function percent(share) {
  const value = Math.round(-100 * share);
  return `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value)} %`;
}
