/**
 * Time, environment and the user's ear, as arguments: what a resident gets besides its URL.
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
  /** How long an outage may last before it is given up, ms. */
  readonly retryForMs: number;
}
