/**
 * The bookkeeping of an audit: what became of each raw offset, and how a store's rows compare with the log's, a window of
 * the lake at a time.
 *
 * **In** offsets, rows in the order of their origin, **Out** ranges and differences. **Knows** `lake`, `table`.
 */
import type { LakeFile, Unit } from "./lake.ts";
import type { TableName } from "./table.ts";

/** What became of a raw offset. */
export const FATE = { none: 0, valid: 1, rejected: 2, control: 3 } as const;
/** A row that the log says a store must have. */
export interface Entry {
  readonly origin: number;
  readonly text: string;
}

/** Compares a store's rows, in the order of their origin, with those that the log says it must have. */
export class Comparison {
  readonly #expected: readonly Entry[];
  readonly #report: (kind: "missing" | "extra" | "differs", origins: readonly number[]) => void;
  readonly #differences = { missing: [] as number[], extra: [] as number[], differs: [] as number[] };
  #at = 0;
  #seen = 0;
  #last = -1;

  constructor(
    expected: readonly Entry[],
    report: (kind: "missing" | "extra" | "differs", origins: readonly number[]) => void,
  ) {
    this.#expected = expected;
    this.#report = report;
  }

  see(origin: number, text: string): void {
    this.#seen++;
    while (this.#at < this.#expected.length && this.#expected[this.#at]!.origin < origin) {
      this.#differences.missing.push(this.#expected[this.#at++]!.origin);
    }
    const expected = this.#expected[this.#at];
    if (origin === this.#last || expected?.origin !== origin) this.#differences.extra.push(origin);
    else {
      if (expected.text !== text) this.#differences.differs.push(origin);
      this.#at++;
    }
    this.#last = origin;
  }

  /** Reports what differs and gives how many rows were seen. */
  end(): number {
    for (; this.#at < this.#expected.length; this.#at++) {
      this.#differences.missing.push(this.#expected[this.#at]!.origin);
    }
    for (const kind of ["missing", "extra", "differs"] as const) {
      if (this.#differences[kind].length > 0) this.#report(kind, this.#differences[kind]);
    }
    return this.#seen;
  }
}

/** Rows of the log between two cuts of the lake, which is as much as is compared at once. */
export class Window {
  first: number;
  end: number;
  readonly #units: readonly Unit[];
  readonly #cut: number;
  #at = 0;
  #rows = new Map<TableName, Entry[]>();

  constructor(units: readonly Unit[], low: number, cut: number) {
    this.#units = units.filter((unit) => unit.last >= low && unit.first < cut);
    this.#cut = cut;
    this.first = low;
    this.end = this.#endOf(0);
  }

  #endOf(at: number): number {
    const unit = this.#units[at];
    return unit === undefined
      ? this.#cut
      : Math.min(this.#cut, at === this.#units.length - 1 ? this.#cut : unit.last + 1);
  }

  /** Goes on behind the cut; false at the last one. */
  next(): boolean {
    if (this.end >= this.#cut) return false;
    this.first = this.end;
    this.end = this.#endOf(++this.#at);
    return true;
  }

  add(table: TableName, origin: number, text: string): void {
    const rows = this.#rows.get(table);
    if (rows) rows.push({ origin, text });
    else this.#rows.set(table, [{ origin, text }]);
  }

  take(table: TableName): readonly Entry[] {
    const rows = this.#rows.get(table) ?? [];
    this.#rows.delete(table);
    return rows;
  }

  files(table: TableName): readonly LakeFile[] {
    return this.#units[this.#at]?.files.filter((file) => file.table === table) ?? [];
  }
}

/** What became of each raw offset between `low` and the cut, in five bytes each. */
export class Fates {
  readonly #low: number;
  readonly #fates: Uint8Array;
  readonly #crcs: Uint32Array;

  constructor(low: number, cut: number) {
    this.#low = low;
    this.#fates = new Uint8Array(cut - low);
    this.#crcs = new Uint32Array(cut - low);
  }

  covers(offset: number): boolean {
    return offset >= this.#low && offset < this.#low + this.#fates.length;
  }

  of(offset: number): number {
    return this.#fates[offset - this.#low]!;
  }

  crc(offset: number): number {
    return this.#crcs[offset - this.#low]!;
  }

  set(offset: number, fate: number, crc: number): void {
    this.#fates[offset - this.#low] = fate;
    this.#crcs[offset - this.#low] = crc;
  }

  count(fate: number): number {
    let count = 0;
    for (const f of this.#fates) if (f === fate) count++;
    return count;
  }

  /** Ranges of offsets without a fate that are no holes of the log. */
  missing(holes: ReadonlySet<number>): [number, number][] {
    const ranges: [number, number][] = [];
    for (let i = 0; i < this.#fates.length; i++) {
      const offset = this.#low + i;
      if (this.#fates[i] !== FATE.none || holes.has(offset)) continue;
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === offset - 1) last[1] = offset;
      else ranges.push([offset, offset]);
    }
    return ranges;
  }
}
