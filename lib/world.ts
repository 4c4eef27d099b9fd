/**
 * Time, chance, environment and the user's ear, as arguments: what a resident gets besides its URL.
 *
 * **Knows** nothing.
 */

/** The world outside, as far as a resident may know it. */
export interface World {
  /** Whole milliseconds since the epoch. */
  readonly now: () => number;
  readonly env: (name: string) => string | undefined;
  /** A line for the user: a cut tail, a reconnect. */
  readonly report: (line: string) => void;
  /** Hears how many bytes were appended to an embedded log. */
  readonly wrote?: (bytes: number) => void;
  /** How long an outage may last before it is given up, ms. */
  readonly retryForMs: number;
  /** Set for who only looks: doors are opened as they lie, and nothing is made, mended or written. */
  readonly isLooking?: true;
  /** What it takes to try again. Without it nothing is, however long an outage may last. */
  readonly trying?: Trying;
}

/** What somebody who waits for a door needs. */
export interface Trying {
  /** Chance: from 0 to below 1, evenly. */
  readonly random: () => number;
  /** Waits, or until the abort. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Fires when the stage is asked to stop: whoever waits tries once more and gives up. */
  readonly signal: AbortSignal;
  /** Hears of each wait for a door. */
  readonly hear: (wait: Wait) => void;
}

/** Doors that may be waited for, by the resident behind them. */
export type Door = "log" | "kafka" | "sqlite" | "postgres" | "lake" | "venue";

/** A wait for a door: `line` says why it begins, or that it is over; nothing where it was given up. */
export interface Wait {
  readonly door: Door;
  readonly step: "begins" | "goes on" | "is over";
  readonly line: string;
}
