/**
 * Books that are to be subscribed to again, since only a new subscription brings a new snapshot.
 *
 * **In** symbols, **Out** whoever serves them is told. **Knows** nothing.
 */

export class Renewals {
  readonly #ears = new Set<(symbol: string) => void>();

  /** Asks for the book of this symbol again, on every connection that has it. */
  ask(symbol: string): void {
    for (const ear of this.#ears) ear(symbol);
  }

  /** Has somebody told of each that is asked for, until the signal. */
  hear(ear: (symbol: string) => void, until: AbortSignal): void {
    this.#ears.add(ear);
    until.addEventListener("abort", () => this.#ears.delete(ear), { once: true });
  }
}
