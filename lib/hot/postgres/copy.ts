/**
 * Rows as Postgres reads them in `COPY … FROM STDIN (FORMAT binary)`: the server parses nothing, and takes a third more
 * of them a second than of text. Formats: PostgreSQL's manual, COPY, "Binary Format"; `numeric_recv` in its source.
 *
 * **In** rows of cells, **Out** pieces of bytes; and back, for times.
 * **Knows** `table`, `failure`.
 */
import { Buffer } from "node:buffer";
import { Refusal } from "../../failure.ts";
import type { Column, Kind, Row } from "../../table.ts";

/** Bytes of a piece: large enough to be cheap, small enough for the server to work while we encode. */
const PIECE_BYTES = 65_536;
/** A UTF-16 unit needs at most so many bytes. */
const UNIT_BYTES_MAX = 3;
/** Shorter texts are copied unit by unit, which is faster than a call. */
const SHORT = 48;
/** Bytes of a cell besides its text, at most. */
const CELL_BYTES_MAX = 32;
const HEADER = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1");
/** Postgres counts from 2000. */
const EPOCH_MICROS = Date.UTC(2000) * 1000;
const DAY_MICROS = 86_400_000_000;
/** A digit of `numeric` holds four decimal ones. */
const PLACES = 4;
const NEGATIVE = 0x4000;

/** The rows in pieces, from the header to the end mark. @throws {Refusal} for a cell that is not of its column's kind */
export function* piecesOf(table: string, columns: readonly Column[], rows: readonly Row[]): Generator<Uint8Array> {
  let piece = new Piece();
  piece.raw(HEADER);
  for (const row of rows) {
    if (piece.length >= PIECE_BYTES) {
      yield piece.bytes;
      piece = new Piece();
    }
    piece.int16(columns.length);
    for (let i = 0; i < columns.length; i++) {
      const { name, kind } = columns[i]!;
      const cell = row[i]!;
      if (cell === null) piece.int32(-1);
      else if (!PUT[kind](piece, cell)) {
        throw new Refusal(
          `Cannot store row of "${table}", origin ${row[1]}: has "${
            String(cell).slice(0, 80)
          }" in ${name}, must be ${kind}`,
        );
      }
    }
  }
  piece.int16(-1);
  yield piece.bytes;
}

/** Writes a cell with its length before it; false for what is not of the kind. */
type Put = (piece: Piece, cell: string | number) => boolean;
const int: Put = (piece, cell) => Number.isSafeInteger(cell) && piece.int64(cell as number);
const time: Put = (piece, cell) => Number.isSafeInteger(cell) && piece.int64(cell as number - EPOCH_MICROS);
const text: Put = (piece, cell) => typeof cell === "string" && piece.text(cell);
const decimal: Put = (piece, cell) => typeof cell === "string" && piece.numeric(cell);
const PUT: Readonly<Record<Kind, Put>> = { int, time, text, name: text, list: text, decimal };

/** Bytes that grow; every number has its highest byte first. */
class Piece {
  length = 0;
  #bytes = Buffer.allocUnsafeSlow(PIECE_BYTES + (PIECE_BYTES >> 2));
  #view = new DataView(this.#bytes.buffer);

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  /** Makes room for a cell of this many bytes. */
  #reserve(bytes: number): void {
    const wanted = this.length + bytes + CELL_BYTES_MAX;
    if (wanted <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * wanted);
    this.#bytes.copy(larger, 0, 0, this.length);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  int16(value: number): void {
    this.#reserve(2);
    this.#view.setInt16(this.length, value);
    this.length += 2;
  }

  int32(value: number): void {
    this.#reserve(4);
    this.#view.setInt32(this.length, value);
    this.length += 4;
  }

  /** A field of 64 bits. */
  int64(value: number): true {
    this.int32(8);
    this.#view.setInt32(this.length, Math.floor(value / 2 ** 32));
    this.#view.setUint32(this.length + 4, value);
    this.length += 8;
    return true;
  }

  /** A field of UTF-8. */
  text(value: string): true {
    this.#reserve(value.length * UNIT_BYTES_MAX);
    const from = this.length + 4;
    const bytes = this.#bytes;
    let length = 0;
    if (value.length > SHORT) length = bytes.write(value, from);
    else {
      for (; length < value.length; length++) {
        const unit = value.charCodeAt(length);
        if (unit > 127) {
          length = bytes.write(value, from);
          break;
        }
        bytes[from + length] = unit;
      }
    }
    this.#view.setInt32(this.length, length);
    this.length = from + length;
    return true;
  }

  /** A field of `numeric`: digits of four places each from the point on both ways, none of them zero at an end. */
  numeric(value: string): boolean {
    const end = value.length;
    const start = value.charCodeAt(0) === 45 ? 1 : 0;
    let point = value.indexOf(".");
    if (point < 0) point = end;
    const scale = Math.max(0, end - point - 1);
    if (point === start || point === end - 1) return false;
    this.#reserve(end);
    const from = this.length + 12;
    let at = from;
    let last = from;
    let weight = Math.ceil((point - start) / PLACES) - 1;
    // The first digit may have fewer places before the point, the last one has zeros behind its own.
    for (let i = point - (weight + 1) * PLACES; i < end; i += PLACES) {
      if (i === point) i++;
      let digit = 0;
      for (let place = i; place < i + PLACES; place++) {
        if (place < start) continue;
        const unit = place < end ? value.charCodeAt(place) - 48 : 0;
        if (!(unit >= 0 && unit <= 9)) return false;
        digit = digit * 10 + unit;
      }
      if (digit === 0 && at === from) {
        weight--;
        continue;
      }
      this.#view.setInt16(at, digit);
      at += 2;
      if (digit !== 0) last = at;
    }
    const view = this.#view;
    view.setInt32(this.length, last - from + 8);
    view.setInt16(this.length + 4, (last - from) / 2);
    view.setInt16(this.length + 6, last === from ? 0 : weight);
    view.setInt16(this.length + 8, start === 1 && last > from ? NEGATIVE : 0);
    view.setInt16(this.length + 10, scale);
    this.length = last;
    return true;
  }
}

/** A time in µs since the epoch as Postgres reads it, exact. */
export function timeText(micros: number): string {
  const second = Math.floor(micros / 1_000_000);
  const fraction = String(micros - second * 1_000_000 + 1_000_000).slice(1);
  return `${new Date(second * 1000).toISOString().slice(0, 19).replace("T", " ")}.${fraction}+00`;
}

/** The time in µs since the epoch of what Postgres writes under `TimeZone = UTC` and `DateStyle = ISO`. */
export function microsOf(text: string): number {
  const day = Date.parse(text.slice(0, 10)) * 1000;
  const seconds = Number(text.slice(11, 13)) * 3600 + Number(text.slice(14, 16)) * 60 + Number(text.slice(17, 19));
  const fraction = text.charCodeAt(19) === 46 ? Number(text.slice(20, text.indexOf("+", 20)).padEnd(6, "0")) : 0;
  return day + seconds * 1_000_000 + fraction;
}

/** Number of the UTC day of a time in µs. */
export function dayNumber(micros: number): number {
  return Math.floor(micros / DAY_MICROS);
}
