/**
 * What may happen to books, and how often it did.
 *
 * **In** nothing, **Out** counts that begin at zero. **Knows** nothing.
 */

/**
 * Why a book broke: `hole` in its numbers, `unnumbered` event where a number is the proof, `checksum` of another book,
 * `snapshot` of the same id that says otherwise, `crossed` for long where nothing else is proof, `connection` that lost a
 * frame or was lost, `unreadable` level, `bounds` of levels or of buffered events, `reported` by the collector that wrote
 * the ticks.
 */
export const FAULTS = [
  "hole",
  "unnumbered",
  "checksum",
  "snapshot",
  "crossed",
  "connection",
  "unreadable",
  "bounds",
  "reported",
] as const;
export type Fault = typeof FAULTS[number];

/** How often something happened, over all books of a keeper. */
export interface Counts {
  /** Quotes that said again what the one before them said. Not passed on. */
  repeats: number;
  /** Books that became synced, again or for the first time. */
  syncs: number;
  broken: Record<Fault, number>;
  /** Books that were in sync when their connection was closed on purpose: nothing befell them. */
  stopped: number;
  /** Snapshots of no use: older than what was buffered or is held already, or unreadable. */
  stale: number;
  /** Events that the book had already. */
  skipped: number;
  /** Frames whose number was passed already. */
  late: number;
  /** Levels deleted that were not there: normal, but where it is the only evidence of a loss. */
  unknownDeletes: number;
  /** Crosses that lasted. */
  crossed: number;
  /** Times that the book's best was another than the venue's quotes for long. */
  differing: number;
  /** Times that the best left the range of the snapshot, beyond which nothing is known. */
  outrun: number;
  /** Ticks of instruments beyond those that a keeper may have. Passed on, but no book is kept. */
  unkept: number;
}

export function newCounts(): Counts {
  return {
    repeats: 0,
    syncs: 0,
    broken: Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Counts["broken"],
    stopped: 0,
    stale: 0,
    skipped: 0,
    late: 0,
    unknownDeletes: 0,
    crossed: 0,
    differing: 0,
    outrun: 0,
    unkept: 0,
  };
}
