/**
 * So many at most in so long: whoever wants to go takes a turn, and turns are taken in the order in which they are asked
 * for.
 *
 * **In** a bound and a clock, **Out** a wait a turn. **Knows** `world`.
 */
import type { Trying } from "../world.ts";

/** What it takes to wait: our time as whole µs since the epoch, and a pause. */
export interface Clock {
  readonly now: () => number;
  readonly pause: Trying["pause"];
}

/** How things are done one after the other. */
export interface Turns {
  /** From the end of one to the beginning of the next, ms. */
  readonly spaceMs: number;
  readonly pause: Trying["pause"];
  /** Whether it is no time for it now: its turn is put off. */
  readonly isBusy: () => boolean;
}

/** Does it for each, the first again after the last, until the signal. */
export async function inTurn<T>(
  list: readonly T[],
  { spaceMs, pause, isBusy }: Turns,
  act: (item: T) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for (let turn = 0;;) {
    await pause(Math.ceil(spaceMs), signal);
    if (signal.aborted) return;
    if (!isBusy()) await act(list[turn++ % list.length]!);
  }
}

export class Pace {
  readonly #max: number;
  readonly #perMs: number;
  readonly #clock: Clock;
  /** When the last turns are or were, µs; at most as many as the bound. */
  #turns: number[] = [];

  /** At most `max` turns in any `perMs`. */
  constructor(max: number, perMs: number, clock: Clock) {
    this.#max = Math.max(1, Math.floor(max));
    this.#perMs = perMs;
    this.#clock = clock;
  }

  /** Waits for a turn. False when the signal fired first; the turn is used up then as well. */
  async turn(signal: AbortSignal): Promise<boolean> {
    const { now, pause } = this.#clock;
    const earliest = this.#turns.length < this.#max ? 0 : this.#turns.shift()! + this.#perMs * 1_000;
    const at = Math.max(now(), earliest);
    this.#turns.push(at);
    for (let left = at - now(); left > 0 && !signal.aborted; left = at - now()) {
      await pause(Math.ceil(left / 1_000), signal);
    }
    return !signal.aborted;
  }
}
