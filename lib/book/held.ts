/**
 * A snapshot that is held against a book at the same update id: one that is behind is brought forward by what the book
 * has taken in meanwhile, one that is ahead waits until the book is as far.
 *
 * **In** a snapshot and events, **Out** whether, and how far, the book agrees with it. **Knows** `tick`.
 */
import type { Delta } from "../tick.ts";
import type { Rule } from "./discipline.ts";
import type { Agreement, Known, Ladder } from "./ladder.ts";

/**
 * What came of holding a snapshot against a book: they are `equal` or `differing` at the same id in the range that both
 * know; the book has `passed` it too long ago, or it cannot be read; the book was `unsynced`; or they are `unnumbered`, so
 * that how far they agree proves nothing.
 */
export const OUTCOMES = ["equal", "differing", "passed", "unsynced", "unnumbered"] as const;

/** Levels are those that were looked at: none where the two were of no common id. */
export interface Comparison extends Agreement {
  readonly symbol: string;
  readonly id: number | null;
  readonly outcome: typeof OUTCOMES[number];
}

/** Events that are remembered for a snapshot that was asked for, an instrument. */
const RECENT_MAX = 1_000;

/** A snapshot that waits until the book has reached its id. */
export interface Held {
  readonly ladder: Ladder;
  readonly id: number;
  readonly known: Known;
  /** Whether it was asked for, to stand in the book's place. */
  readonly isAdopted: boolean;
}

/** What a book takes in from a moment on. */
export class Recent {
  #events: Delta[] | null = [];

  /** Of more than can be remembered nothing is. */
  add(event: Delta): void {
    if (this.#events !== null && this.#events.push(event) > RECENT_MAX) this.#events = null;
  }

  /** Brings a snapshot of this id as far as the events lead, if they follow it. Up to which id; null where they do not. */
  bring(ladder: Ladder, id: number, rule: Rule): number | null {
    if (this.#events === null) return null;
    let place = { id, isLinked: false };
    for (const event of this.#events) {
      const step = rule.step(place, event);
      if (step === "skip") continue;
      if (step !== "apply" || event.lastId === null || ladder.apply(event.bids, event.asks) !== null) return null;
      place = { id: event.lastId, isLinked: true };
    }
    return place.id;
  }
}
