/** What the tagger saw in each picture, asked for once the focus rests on one. */

const REST_MILLISECONDS = 120;
const NONE = Object.freeze([]);

export class Candidates {
  /** @type {Map<string, readonly import("./board.mjs").Candidate[]>} */
  #known = new Map();
  #timer = 0;
  #waiting = /** @type {string | null} */ (null);

  /** @param {import("./board.mjs").Board} board @param {boolean} hasScores @param {() => void} onArrival */
  constructor(board, hasScores, onArrival) {
    this.board = board;
    this.hasScores = hasScores;
    this.onArrival = onArrival;
  }

  /** @param {string} id @returns {readonly import("./board.mjs").Candidate[]} none until they have arrived */
  of(id) {
    const known = this.#known.get(id);
    if (known === undefined && this.hasScores && this.#waiting !== id) this.#ask(id);
    return known ?? NONE;
  }

  #ask(id) {
    this.#waiting = id;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      try {
        this.#known.set(id, (await this.board.candidates(id)).tags);
      } catch {
        this.#known.set(id, NONE); // the caption can be edited without them
      }
      this.onArrival();
    }, REST_MILLISECONDS);
  }
}
