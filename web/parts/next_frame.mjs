/** Draws once with the next frame, however often it is asked to before. */
export class NextFrame {
  #frame = 0;

  /** @param {() => void} draw */
  constructor(draw) {
    this.draw = draw;
  }

  ask() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.draw();
    });
  }

  cancel() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }
}
