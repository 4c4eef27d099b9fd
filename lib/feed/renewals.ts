/**
 * Books that are to be subscribed to again, since only a new subscription brings a new snapshot: not more often than a
 * venue bears, whatever is wrong with what it answers.
 *
 * **In** symbols, **Out** whoever serves them is told. **Knows** `feed`.
 */
import type { Clock } from "./pace.ts";

/** Between two new subscriptions of one book, ms. */
export const RENEWAL_MS = 5_000;

export class Renewals {
  readonly #clock: Clock;
  readonly #ears = new Set<(symbol: string) => void>();
  /** When each was asked for last, µs. */
  readonly #asked = new Map<string, number>();
  readonly #waiting = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Asks for the book of this symbol again, on every connection that has it: at once, or when it is its time again. */
  async ask(symbol: string, signal: AbortSignal): Promise<void> {
    if (this.#waiting.has(symbol)) return;
    const { now, pause } = this.#clock;
    const leftMs = RENEWAL_MS - (now() - (this.#asked.get(symbol) ?? -Infinity)) / 1_000;
    if (leftMs > 0) {
      this.#waiting.add(symbol);
      await pause(leftMs, signal);
      this.#waiting.delete(symbol);
      if (signal.aborted) return;
    }
    this.#asked.set(symbol, now());
    for (const ear of this.#ears) ear(symbol);
  }

  /** Has somebody told of each that is asked for, until the signal. */
  hear(ear: (symbol: string) => void, until: AbortSignal): void {
    this.#ears.add(ear);
    until.addEventListener("abort", () => this.#ears.delete(ear), { once: true });
  }
}
