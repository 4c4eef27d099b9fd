/**
 * The rows of one Parquet file in the making, held as the tab-separated text that the engine will parse: compact, exact,
 * and judged cell by cell, since the engine rounds and guesses where text is not what its column says.
 *
 * Nulls are `\x01`; text with control characters is quoted by `\x02`, so that JSON and quotation marks travel bare.
 * **In** rows of one table and partition, **Out** text.
 * **Knows** `table`, `decimal`.
 */
import { fits, isDecimal } from "../decimal.ts";
import type { Cell, Column, Kind, Row } from "../table.ts";

/** Stands for null. */
export const NULL = "\x01";
/** Opens and closes a quoted cell, doubled inside. */
export const QUOTE = "\x02";
/** Digits before and after the point that the engine parses fast, as DECIMAL(18,8); wider costs ten times as much. */
export const NARROW = { integer: 10, fraction: 8 } as const;
/** Bytes that a line may have; a message may have 1 MiB. */
export const LINE_BYTES_MAX = 4 << 20;
// Text needs quotes when it holds a control character; a surrogate may be a lone one, which UTF-8 cannot hold.
// deno-lint-ignore no-control-regex
const SUSPECT = /[\x00-\x1f\ud800-\udfff]/;
const CHUNK_CHARS = 1 << 16;

/** Rows that write the same columns; the others were null in all rows so far. */
export interface Section {
  /** By the column's place, whether the text has it. The first column, the partition, is never in the text. */
  readonly live: readonly boolean[];
  /** Rows whose decimals are all narrow. */
  readonly narrow: Text;
  /** The other rows, each decimal in the three cells of {@linkcode parts}. */
  readonly wide: Text;
}

/** The rows of one file in the making. */
export class Draft {
  rows = 0;
  /** Characters of text so far. */
  size = 0;
  /** Each section has all columns of the one before, and at least one more. */
  readonly sections: Section[] = [];
  readonly #columns: readonly Column[];

  constructor(columns: readonly Column[]) {
    this.#columns = columns;
  }

  /** @throws {RangeError} when a cell is not of its column's kind, or would not come back as it is */
  add(row: Row): void {
    const columns = this.#columns;
    let section = this.sections.at(-1) ?? this.#open(row, []);
    let line = "";
    let narrow = true;
    for (let i = 1; i < columns.length; i++) {
      const column = columns[i]!, cell = row[i];
      if (!section.live[i]) {
        if (cell === null && column.nullable) continue;
        // Nobody has seen the line yet: begin it again where it may have this column.
        section = this.#open(row, section.live);
        line = "";
        i = 0;
        continue;
      }
      if (line !== "") line += "\t";
      if (cell === null && column.nullable) line += NULL;
      else if (typeof cell === "number" && INTEGRAL.has(column.kind) && Number.isSafeInteger(cell)) line += cell;
      else if (typeof cell !== "string" || INTEGRAL.has(column.kind)) throw misfit(column, cell);
      else if (column.kind !== "decimal") line += SUSPECT.test(cell) ? quoted(column, cell) : cell;
      else if (!isDecimal(cell)) throw misfit(column, cell);
      else {
        if (!fits(cell, NARROW.integer, NARROW.fraction)) {
          if (!fits(cell)) throw misfit(column, cell);
          narrow = false;
        }
        line += cell;
      }
    }
    line = (narrow ? line : this.#widened(line, section.live)) + "\n";
    (narrow ? section.narrow : section.wide).add(line);
    this.rows++;
    this.size += line.length;
  }

  /** The line with every decimal in parts. A cell before a decimal may be quoted and hold a tab, but no quote mark bare. */
  #widened(line: string, live: readonly boolean[]): string {
    const columns = this.#columns.filter((_, i) => live[i]);
    const cells = line.match(CELLS)!;
    return columns.map(({ kind }, i) => kind === "decimal" ? parts(cells[i]!) : cells[i]!).join("\t");
  }

  #open(row: Row, before: readonly boolean[]): Section {
    const live = this.#columns.map(({ nullable }, i) => i > 0 && (before[i] || !nullable || row[i] !== null));
    const section = { live, narrow: new Text(), wide: new Text() };
    this.sections.push(section);
    return section;
  }
}
// deno-lint-ignore no-control-regex
const CELLS = /(?<=^|\t)(?:\x02(?:[^\x02]|\x02\x02)*\x02|[^\t]*)(?=\t|$)/g;

/**
 * A decimal as the engine parses it fast however wide it is: digits above 10^18, digits below, and the fraction.
 * All carry the sign; a null is three nulls.
 */
export function parts(cell: string): string {
  if (cell === NULL) return `${NULL}\t${NULL}\t${NULL}`;
  const minus = cell.startsWith("-") ? "-" : "";
  const point = cell.indexOf(".");
  const integer = cell.slice(minus.length, point < 0 ? undefined : point);
  const fraction = point < 0 ? "0" : cell.slice(point + 1);
  return `${minus}${integer.slice(0, -LOWER_DIGITS) || "0"}\t${minus}${
    integer.slice(-LOWER_DIGITS)
  }\t${minus}0.${fraction}`;
}
const LOWER_DIGITS = 18;

const INTEGRAL: ReadonlySet<Kind> = new Set<Kind>(["int", "time"]);

function misfit(column: Column, cell: Cell | undefined): RangeError {
  return new RangeError(
    `Cannot write cell "${String(cell).slice(0, 80)}": column ${column.name} would not keep it, must be ${column.kind}${
      column.nullable ? " or null" : ""
    }`,
  );
}

function quoted(column: Column, cell: string): string {
  // The engine reads a quoted null mark as null too.
  if (!cell.isWellFormed() || cell === NULL) throw misfit(column, cell);
  return QUOTE + cell.replaceAll(QUOTE, QUOTE + QUOTE) + QUOTE;
}

/** Text that grows by lines and rests as bytes: a string of a million joined pieces would weigh ten times as much. */
export class Text {
  /** Characters so far. */
  size = 0;
  readonly #chunks: Uint8Array[] = [];
  #open = "";

  add(line: string): void {
    this.size += line.length;
    this.#open += line;
    if (this.#open.length >= CHUNK_CHARS) this.#close();
  }

  #close(): void {
    this.#chunks.push(encoder.encode(this.#open));
    this.#open = "";
  }

  encode(): Uint8Array {
    if (this.#open !== "") this.#close();
    if (this.#chunks.length === 1) return this.#chunks[0]!;
    const bytes = new Uint8Array(this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }
}
const encoder = new TextEncoder();
