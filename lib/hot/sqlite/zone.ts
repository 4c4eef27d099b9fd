/**
 * Which row ids may hold which origins of a partition, zone by zone: what lets a reader of one range pass over the rest
 * of a table without an index that every insert would pay for.
 *
 * Read off the rows themselves, once, and then grown at the table's end; a row that somebody else put there is found too.
 * **In** per zone of row ids, the lowest and highest origin of each partition, **Out** ranges of row ids.
 * **Knows** nothing.
 */

/** Row ids in a zone. */
export const ZONE_ROWS = 32_768;

/** Half-open range of row ids. */
export interface Span {
  readonly low: number;
  readonly high: number;
}

/** What the map asks the table. */
export interface Survey {
  /** Lowest and highest row id; null when the table is empty. */
  ends(): { readonly low: number; readonly high: number } | null;
  /** Lowest and highest origin of every partition that has rows in the span. */
  zone(span: Span): readonly { readonly partition: number; readonly first: number; readonly last: number }[];
}

export class ZoneMap {
  readonly #survey: Survey;
  /** Per partition, the zones that hold its rows, in the order of row ids. */
  readonly #zones = new Map<number, { readonly low: number; readonly first: number; readonly last: number }[]>();
  /** The last zone surveyed. */
  #seen = -Infinity;

  constructor(survey: Survey) {
    this.#survey = survey;
  }

  /** Where rows with `from <= origin < to` lie, in the order of their origins; no origin is in two of the spans. */
  spans(partition: number, from: number, to: number): readonly Span[] {
    this.#grow();
    const zones = (this.#zones.get(partition) ?? []).filter(({ first, last }) => last >= from && first < to);
    const spans: { low: number; high: number; last: number }[] = [];
    for (const { low, first, last } of zones.sort((a, b) => a.first - b.first)) {
      const span = spans.at(-1);
      if (span === undefined || first > span.last) {
        spans.push({ low, high: low + ZONE_ROWS, last });
        continue;
      }
      // Rows out of order: one span over both, for SQLite to sort them together.
      span.low = Math.min(span.low, low);
      span.high = Math.max(span.high, low + ZONE_ROWS);
      span.last = Math.max(span.last, last);
    }
    return spans.map(({ low, high }) => ({ low, high }));
  }

  #grow(): void {
    const ends = this.#survey.ends();
    if (ends === null || Math.floor(ends.high / ZONE_ROWS) < this.#seen) {
      // The end was deleted, and its row ids may be given out again.
      this.#zones.clear();
      this.#seen = -Infinity;
    }
    if (ends === null) return;
    // The last zone seen may have been filled since; the ones before it are done.
    for (let zone = Math.max(Math.floor(ends.low / ZONE_ROWS), this.#seen); zone * ZONE_ROWS <= ends.high; zone++) {
      const low = zone * ZONE_ROWS;
      for (const { partition, first, last } of this.#survey.zone({ low, high: low + ZONE_ROWS })) {
        const zones = this.#zones.get(partition) ?? [];
        this.#zones.set(partition, zones);
        if (zones.at(-1)?.low === low) zones.pop();
        zones.push({ low, first, last });
      }
      this.#seen = zone;
    }
  }
}
