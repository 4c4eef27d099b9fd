/**
 * A circuit that opens when more than a set share of what is judged is rejected, so that a flood is an alarm and a pause.
 * It never changes a verdict: it says only whether to go on.
 *
 * **In** whether each message was rejected, and why, **Out** the window in which too many were. **Knows** nothing.
 */

/** Too many were rejected. */
export interface Flood {
  readonly judged: number;
  readonly rejected: number;
  /** Rejected messages by their first reason, the most frequent first. */
  readonly reasons: readonly (readonly [string, number])[];
}

/** Counts windows of so many messages, one after another. */
export class Circuit {
  /** The last window that was a flood; null before the first. */
  flood: Flood | null = null;
  readonly #shareMax: number;
  readonly #window: number;
  readonly #reasons = new Map<string, number>();
  #judged = 0;
  #rejected = 0;

  /** `shareMax` from 0 to 1, `window` in messages. */
  constructor(shareMax: number, window: number) {
    this.#shareMax = shareMax;
    this.#window = window;
  }

  /** One more was judged; `reason` is null unless it was rejected. */
  note(reason: string | null): void {
    if (reason !== null) {
      this.#rejected++;
      this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
    }
    if (++this.#judged < this.#window) return;
    if (isFlood(this.#rejected, this.#judged, this.#shareMax)) {
      const reasons = [...this.#reasons].sort(([, a], [, b]) => b - a);
      this.flood = { judged: this.#judged, rejected: this.#rejected, reasons };
    }
    this.#judged = this.#rejected = 0;
    this.#reasons.clear();
  }
}

/** Whether so many of so many are more than the share. */
export const isFlood = (rejected: number, judged: number, shareMax: number): boolean => rejected > judged * shareMax;

/** A flood in words. */
export function floodText({ judged, rejected, reasons }: Flood): string {
  const shown = (n: number): string => n.toLocaleString("en");
  const why = reasons.slice(0, 3).map(([reason, n]) => `${reason} ${shown(n)}`).join(", ");
  return `${shown(rejected)} of the last ${shown(judged)} messages were rejected${why === "" ? "" : ` (${why})`}`;
}
