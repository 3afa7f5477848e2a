/** A line below an editor's header that tells something, until it is closed or another one comes. */

import { say } from "../words.mjs";
import { button, make } from "./element.mjs";

export class Notices {
  element = make("div.la-notices");

  /** @param {string} text @param {{label: string, act: () => void}} [offer] what can be done about it */
  tell(text, offer) {
    const close = button(say("close"), () => this.clear(), ".la-quiet");
    const accept = () => {
      offer.act();
      this.clear();
    };
    const actions = offer ? [button(offer.label, accept, ".la-quiet"), close] : [close];
    this.element.replaceChildren(make("p.la-notice", { role: "status" }, make("span", { text }), ...actions));
  }

  clear() {
    this.element.replaceChildren();
  }
}
