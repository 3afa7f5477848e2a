/** Reads something again when it is said to have changed: one reading at a time, and a pause between two. */

/** Milliseconds between two readings. */
const PAUSE = 1000;

export class Reading {
  #read;
  #pause;
  #isReading = false;
  #isOutdated = false;
  #isOver = false;

  /** @param {() => Promise<void>} read once; should it fail, the next time is not kept from it
   * @param {number} [pause] in milliseconds */
  constructor(read, pause = PAUSE) {
    this.#read = read;
    this.#pause = pause;
  }

  /** Read now, or once more after the reading that is under way. */
  async again() {
    this.#isOutdated = true;
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (this.#isOutdated && !this.#isOver) {
        this.#isOutdated = false;
        await this.#read();
        if (this.#isOutdated) await new Promise((resolve) => setTimeout(resolve, this.#pause));
      }
    } finally {
      this.#isReading = false;
    }
  }

  /** Read no more. */
  stop() {
    this.#isOver = true;
  }
}
