/**
 * Rows as Postgres reads them in `COPY … FROM STDIN`, text format, and times as Postgres writes them.
 *
 * **In** rows of cells, **Out** lines of tab-separated fields; and back, for times.
 * **Knows** `table`.
 */
import type { Cell, Column, Row } from "../../table.ts";

const SPECIAL = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" };
const DAY_MICROS = 86_400_000_000;

/** A text cell as a field: what would end the field or the line, or be taken for null or the end, is escaped. */
export function escapeField(text: string): string {
  return SPECIAL.test(text) ? text.replace(/[\\\t\n\r]/g, (c) => ESCAPES[c]!) : text;
}

/** Makes the encoder of a table's rows: one line a row, without the line's end cut off. */
export function lineOf(columns: readonly Column[]): (row: Row) => string {
  const times = columns.map(({ kind }) => kind === "time");
  // Event and received time each move slowly, so each column keeps the second it wrote last.
  const clocks = columns.map(() => new Clock());
  return (row) => {
    let line = fieldOf(row[0]!, times[0]!, clocks[0]!);
    for (let i = 1; i < row.length; i++) line += "\t" + fieldOf(row[i]!, times[i]!, clocks[i]!);
    return line + "\n";
  };
}

function fieldOf(cell: Cell, isTime: boolean, clock: Clock): string {
  if (cell === null) return "\\N";
  if (typeof cell === "string") return escapeField(cell);
  return isTime ? clock.text(cell) : String(cell);
}

/** A time in µs since the epoch as Postgres reads it, exact. */
export function timeText(micros: number): string {
  return new Clock().text(micros);
}

/** The time in µs since the epoch of what Postgres writes under `TimeZone = UTC` and `DateStyle = ISO`. */
export function microsOf(text: string): number {
  const day = Date.parse(text.slice(0, 10)) * 1000;
  const seconds = Number(text.slice(11, 13)) * 3600 + Number(text.slice(14, 16)) * 60 + Number(text.slice(17, 19));
  const fraction = text.charCodeAt(19) === 46 ? Number(text.slice(20, text.indexOf("+", 20)).padEnd(6, "0")) : 0;
  return day + seconds * 1_000_000 + fraction;
}

/** Writes times; remembers the second it wrote last. */
class Clock {
  #second = NaN;
  #prefix = "";

  text(micros: number): string {
    const second = Math.floor(micros / 1_000_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#prefix = `${new Date(second * 1000).toISOString().slice(0, 19).replace("T", " ")}.`;
    }
    return `${this.#prefix}${String(micros - second * 1_000_000 + 1_000_000).slice(1)}+00`;
  }
}

/** Number of the UTC day of a time in µs. */
export function dayNumber(micros: number): number {
  return Math.floor(micros / DAY_MICROS);
}
