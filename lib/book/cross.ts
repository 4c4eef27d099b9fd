/**
 * A best bid above the best ask, and how long it has been so by event time. Between the messages of one change of the
 * market that is normal; what lasts is told once, and once more when it is over.
 *
 * **In** whether the book is crossed after each change, **Out** what is news. **Knows** nothing.
 */

export class Cross {
  readonly #forMs: number;
  /** Event time of the first change after which it was so, µs; null while it is not. */
  #since: number | null = null;
  #isTold = false;
  #isSaid = false;

  /** `forMs`: what lasts no longer is none. */
  constructor(forMs: number) {
    this.#forMs = forMs;
  }

  /** Whether a snapshot of the venue has shown the same cross. */
  get isSaid(): boolean {
    return this.#isSaid;
  }

  /** It `lasts` by now, or what did is `over`; null where that is no news. `isSaid`: by a snapshot. */
  judge(isCrossed: boolean, eventTime: number, isSaid: boolean): "lasts" | "over" | null {
    if (!isCrossed) {
      const isOver = this.#isTold;
      this.forget();
      return isOver ? "over" : null;
    }
    this.#isSaid ||= isSaid;
    this.#since ??= eventTime;
    if (this.#isTold || eventTime - this.#since <= this.#forMs * 1_000) return null;
    this.#isTold = true;
    return "lasts";
  }

  /** The book is another one. */
  forget(): void {
    this.#since = null;
    this.#isTold = this.#isSaid = false;
  }
}
