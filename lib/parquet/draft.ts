/**
 * The rows of one Parquet file in the making, held as the columns that the engine takes as they are: compact, exact, and
 * judged cell by cell, since nobody looks at a value again.
 *
 * A decimal is the unscaled integer of 128 bits that the file will have, a name is a place in its column's list.
 * **In** rows of one table and partition, **Out** columns.
 * **Knows** `table`, `decimal`.
 */
import { putUnscaled } from "../decimal.ts";
import type { Cell, Column, Kind, Row } from "../table.ts";

const ROWS_AT_FIRST = 1_024;
const TEXT_BYTES_AT_FIRST = 1 << 14;
/** A UTF-16 unit needs at most so many bytes. */
const UNIT_BYTES_MAX = 3;
/** Shorter texts are copied unit by unit, which is faster than a call. */
const SHORT = 48;

/** The rows of one file in the making. */
export class Draft {
  rows = 0;
  /** Bytes that the rows need; the same rows give the same size. */
  size = 0;
  readonly columns: readonly Column[];
  /** By the column's place, null while it was null in all rows. The first, the partition, is the same in all of them. */
  readonly vectors: (Vector | null)[];
  #capacity = ROWS_AT_FIRST;

  constructor(columns: readonly Column[]) {
    this.columns = columns;
    this.vectors = columns.map(() => null);
  }

  /** @throws {RangeError} when a cell is not of its column's kind, or would not come back as it is */
  add(row: Row): void {
    if (this.rows === this.#capacity) this.#grow();
    let size = 0;
    for (let i = 1; i < this.columns.length; i++) {
      const cell = row[i];
      let vector = this.vectors[i]!;
      if (cell === null && this.columns[i]!.nullable) {
        if (vector !== null) vector.skip(this.rows);
        continue;
      }
      if (vector === null) this.vectors[i] = vector = new VECTORS[this.columns[i]!.kind](this.#capacity);
      const bytes = cell === undefined || cell === null ? 0 : vector.put(this.rows, cell);
      // A refused row stays beyond the last one, where the next overwrites it.
      if (bytes === 0) throw misfit(this.columns[i]!, cell);
      size += bytes;
    }
    this.rows++;
    this.size += size;
  }

  #grow(): void {
    this.#capacity *= 2;
    for (const vector of this.vectors) vector?.grow(this.#capacity);
  }
}

function misfit(column: Column, cell: Cell | undefined): RangeError {
  return new RangeError(
    `Cannot write cell "${String(cell).slice(0, 80)}": column ${column.name} would not keep it, must be ${column.kind}${
      column.nullable ? " or null" : ""
    }`,
  );
}

/** The values of one column. */
export abstract class Vector {
  /** By row, whether there is a value; what stands in a null's place means nothing. */
  valid: Uint8Array<ArrayBuffer>;

  constructor(capacity: number) {
    this.valid = new Uint8Array(capacity);
  }
  /** Writes a row's value and gives the bytes it needs; 0 where it would not come back as it is. */
  abstract put(row: number, cell: string | number): number;
  /** Writes a row's null. */
  skip(row: number): void {
    this.valid[row] = 0;
  }
  grow(capacity: number): void {
    this.valid = grown(this.valid, capacity);
  }
}

/** Little-endian integers of several 32-bit words. */
export abstract class Words extends Vector {
  words: Uint32Array<ArrayBuffer>;
  readonly #width: number;

  constructor(capacity: number, width: number) {
    super(capacity);
    this.#width = width;
    this.words = new Uint32Array(capacity * width);
  }
  override grow(capacity: number): void {
    super.grow(capacity);
    this.words = grown(this.words, capacity * this.#width);
  }
}

/** Safe integers in 64 bits. */
export class Integers extends Words {
  constructor(capacity: number) {
    super(capacity, 2);
  }
  put(row: number, cell: string | number): number {
    if (!Number.isSafeInteger(cell)) return 0;
    this.words[row * 2] = cell as number;
    this.words[row * 2 + 1] = Math.floor(cell as number / 2 ** 32);
    this.valid[row] = 1;
    return 8;
  }
}

/** Decimals of 38 digits, 12 of them after the point, in 128 bits. */
export class Decimals extends Words {
  constructor(capacity: number) {
    super(capacity, 4);
  }
  put(row: number, cell: string | number): number {
    if (typeof cell !== "string" || !putUnscaled(cell, this.words, row * 4)) return 0;
    this.valid[row] = 1;
    return 16;
  }
}

/** Texts of which there are few. */
export class Names extends Vector {
  places: Int32Array<ArrayBuffer>;
  readonly #placeOf = new Map<string, number>();

  constructor(capacity: number) {
    super(capacity);
    this.places = new Int32Array(capacity);
  }
  /** In the order in which they came. */
  get values(): string[] {
    return [...this.#placeOf.keys()];
  }
  put(row: number, cell: string | number): number {
    if (typeof cell !== "string") return 0;
    let place = this.#placeOf.get(cell);
    if (place === undefined) {
      if (!cell.isWellFormed()) return 0;
      this.#placeOf.set(cell, place = this.#placeOf.size);
    }
    this.places[row] = place;
    this.valid[row] = 1;
    return 4;
  }
  override grow(capacity: number): void {
    super.grow(capacity);
    this.places = grown(this.places, capacity);
  }
}

/** UTF-8 bytes one after another; those of a row lie between its place in `ends` and the next. */
export class Texts extends Vector {
  ends: Int32Array<ArrayBuffer>;
  bytes = new Uint8Array(TEXT_BYTES_AT_FIRST);

  constructor(capacity: number) {
    super(capacity);
    this.ends = new Int32Array(capacity + 1);
  }
  put(row: number, cell: string | number): number {
    if (typeof cell !== "string") return 0;
    const from = this.ends[row]!;
    const wanted = from + cell.length * UNIT_BYTES_MAX;
    if (wanted > this.bytes.length) this.bytes = grown(this.bytes, 2 * wanted);
    let length = cell.length < SHORT ? copyAscii(cell, this.bytes, from) : -1;
    if (length < 0) {
      // A lone surrogate has no bytes.
      if (!cell.isWellFormed()) return 0;
      length = encoder.encodeInto(cell, this.bytes.subarray(from)).written;
    }
    this.ends[row + 1] = from + length;
    this.valid[row] = 1;
    return 4 + length;
  }
  override skip(row: number): void {
    super.skip(row);
    this.ends[row + 1] = this.ends[row]!;
  }
  override grow(capacity: number): void {
    super.grow(capacity);
    this.ends = grown(this.ends, capacity + 1);
  }
}
const encoder = new TextEncoder();

/** Copies a text and gives its length; -1 when it is not all ASCII. */
function copyAscii(text: string, into: Uint8Array, at: number): number {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 127) return -1;
    into[at + i] = unit;
  }
  return text.length;
}

const VECTORS: Readonly<Record<Kind, new (capacity: number) => Vector>> = {
  ...{ int: Integers, time: Integers, decimal: Decimals, name: Names, text: Texts, list: Texts },
};

function grown<A extends Uint8Array | Int32Array | Uint32Array>(array: A, length: number): A {
  const larger = new (array.constructor as new (length: number) => A)(length);
  larger.set(array);
  return larger;
}
