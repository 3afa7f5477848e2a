/** The page's own sentences, in the language that ComfyUI is set to. */

import { locale } from "./host/page.mjs";
import { choose, fill } from "./words/choosing.mjs";

/** @param {string} key of web/words @param {Record<string, string | number>} [values] for its {places};
 * `count` also chooses between one and many */
export function say(key, values = {}) {
  const { language, words } = choose(locale());
  return fill(words, language, key, values);
}
