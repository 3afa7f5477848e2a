/** What became of a run, in a word, a colour and a few sentences. */

import { locale } from "../host/page.mjs";
import { make } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { choose } from "../words/choosing.mjs";
import { verdictSentence } from "./verdict.mjs";

/** @param {import("./verdict.mjs").Verdict} verdict @returns {HTMLElement} */
export function verdictCard(verdict) {
  const { language, words } = choose(locale());
  const sentences = verdict.sentences.map((sentence) => verdictSentence(sentence, language, words, say));
  return make(
    "div.la-verdict",
    { "data-kind": verdict.kind },
    make("strong", { text: say(`kindOfRun.${verdict.kind}`) }),
    ...sentences.map((text) => make("p", { text })),
  );
}
