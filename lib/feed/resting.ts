/**
 * Who need not speak: instruments that were listed as not trading, and those of which their venue has said so since,
 * until they trade again.
 *
 * **In** symbols and ticks, **Out** whether a symbol may be silent. **Knows** `tick`.
 */
import type { Status, Tick } from "../tick.ts";

const RESTS: readonly Status["state"][] = ["halted", "auction", "maintenance", "closed"];

export class Resting {
  /** Since when, µs. */
  readonly #since: Map<string, number>;

  /** `symbols` are listed as not trading at this time, µs. */
  constructor(symbols: Iterable<string>, time: number) {
    this.#since = new Map(Array.from(symbols, (symbol) => [symbol, time]));
  }

  has(symbol: string): boolean {
    return this.#since.has(symbol);
  }

  hear(ticks: readonly Tick[]): void {
    for (const tick of ticks) {
      const { symbol, eventTime } = tick;
      if (tick.type === "status") {
        if (RESTS.includes(tick.state)) this.#since.set(symbol, eventTime);
        if (tick.state === "trading") this.#since.delete(symbol);
      } else if (this.#since.size > 0 && tick.type === "trade") {
        // A trade that is told when somebody connects may be of long ago.
        if (eventTime > (this.#since.get(symbol) ?? Infinity)) this.#since.delete(symbol);
      }
    }
  }
}
