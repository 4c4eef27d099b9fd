/**
 * Time in a storm over a live feed: it passes as the market moves, and waits until nobody awaits the network.
 *
 * **In** steps, **Out** a clock, and waits in it. **Knows** `market`, `world`.
 */
import { START_MICROS } from "../../lib/market.ts";
import type { Trying } from "../../lib/world.ts";

/** A time that passes when the market moves, and a client's waits in it. */
export class Tide {
  time = START_MICROS;
  /** How long somebody waits for an answer of the network: nobody waits so long for anything else. */
  readonly #net: readonly number[];
  #waits: { readonly at: number; readonly isNet: boolean; readonly end: () => void }[] = [];
  #freed: () => void = () => {};

  constructor(net: readonly number[]) {
    this.#net = net;
  }

  readonly now = (): number => this.time;

  readonly pause: Trying["pause"] = (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const end = (): void => {
        this.#waits = this.#waits.filter((wait) => wait.end !== end);
        signal.removeEventListener("abort", end);
        resolve();
        if (!this.#isAtNet) this.#freed();
      };
      signal.addEventListener("abort", end);
      this.#waits.push({ at: this.time + ms * 1_000, isNet: this.#net.includes(ms), end });
    });

  go(ms: number): void {
    this.time += ms * 1_000;
    for (const { end } of this.#waits.filter(({ at }) => at <= this.time)) end();
  }

  /** When the next wait is over. */
  get next(): number {
    return Math.min(...this.#waits.map(({ at }) => at));
  }

  /** Until nobody waits for an answer of the network. Who has just had one may go on to the next. */
  async free(): Promise<void> {
    while (this.#isAtNet) {
      await new Promise<void>((resolve) => this.#freed = resolve);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  get #isAtNet(): boolean {
    return this.#waits.some(({ isNet }) => isNet);
  }
}
