/** The LoRAs that a run has kept, each ready to be used. */

import { button, make } from "../parts/element.mjs";
import { keepFocus } from "../parts/keep_focus.mjs";
import { say } from "../words.mjs";
import { size } from "./amounts.mjs";
import { useSave } from "./requests.mjs";
import { Seen } from "./seen.mjs";

/** @typedef {import("./record.mjs").Save} Save */

export class SavesList {
  #seen = new Seen();

  constructor() {
    this.element = make("ul.la-kept");
  }

  /** @param {string} run @param {string} name of the run @param {Save[]} saves */
  show(run, name, saves) {
    if (!this.#seen.isNews([run, name, saves])) return;
    const none = make("li.la-none", { text: say("view.noSaves") });
    const newestFirst = saves.toReversed().map((save) => line(run, name, save));
    const shown = newestFirst.length > 0 ? newestFirst : [none];
    keepFocus(this.element, () => this.element.replaceChildren(...shown));
  }
}

function line(run, name, save) {
  const { epoch, step, file, megabytes, is_best, is_last } = save;
  const marks = [
    is_best ? make("span.la-mark", { text: say("live.best"), "data-best": true }) : null,
    is_last ? make("span.la-mark", { text: say("live.last") }) : null,
  ];
  const act = button(say("view.use"), () => useSave(run, save, `${name}-e${epoch}`));
  act.dataset.focus = file;
  return make(
    "li",
    { title: file },
    make("div.la-kept-name", {}, make("strong", { text: say("live.epochShort", { epoch }) }), ...marks),
    make("span.la-count", { text: `${say("live.stepShort", { step })} · ${size(megabytes)}` }),
    act,
  );
}
