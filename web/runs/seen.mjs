/** Tells whether there is anything new to show, so that what stays is not made again. */

export class Seen {
  #said = "";

  /** @param {unknown} value JSON-able @returns {boolean} whether it differs from the one before */
  isNews(value) {
    const said = JSON.stringify(value);
    if (said === this.#said) return false;
    this.#said = said;
    return true;
  }
}
