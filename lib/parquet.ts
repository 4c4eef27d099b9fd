/**
 * Parquet, written by DuckDB and read by another: what duckdb-wasm writes, hyparquet reads as an independent witness.
 *
 * Every file of a table has one schema for ever: `int` BIGINT, `time` TIMESTAMP in µs UTC, `decimal` DECIMAL(38,12), the
 * rest VARCHAR; zstd, ordered by `symbol, event_time, origin`. The same rows give the same bytes. The engine is loaded by
 * the first who needs it and blocks its thread while it works.
 * **In** drafts, **Out** the bytes of files, rows again, answers to SQL.
 * **Knows** `table`, `decimal`.
 */
import { fileURLToPath } from "node:url";
import * as zlib from "node:zlib";
import type { createDuckDB, DuckDBConnection } from "@duckdb/duckdb-wasm/blocking";
import { parquetMetadata, parquetRead } from "hyparquet";
import { canonical, FRACTION_DIGITS_MAX, INTEGER_DIGITS_MAX, scaled } from "./decimal.ts";
import { type Draft, LINE_BYTES_MAX, NARROW, NULL, QUOTE } from "./parquet/draft.ts";
import type { Cell, Column, Kind, Row } from "./table.ts";

export { Draft } from "./parquet/draft.ts";

/** Engine and bundle that write; another one may give other bytes for the same rows, so ledgers record it. */
export const ENGINE = "duckdb-wasm 1.28.0 eh";
const ENGINE_VERSION = "v0.9.1";

/** Rows of a row group: small enough to prune by symbol, large enough to compress. */
const GROUP_ROWS = 40_960;
/** Bytes that one page of a file may unpack to; DuckDB closes a page at 100 MB. */
const PAGE_BYTES_MAX = 256 << 20;

/** The path of the engine's `.wasm`, which a sandboxed Worker must be allowed to read. */
export function wasmPath(): string {
  return fileURLToPath(import.meta.resolve("@duckdb/duckdb-wasm/dist/duckdb-eh.wasm"));
}

/** The engine asks the disk about a name before it finds what is registered; a sandbox lets it ask only below this one. */
const SANDBOX = ":memory:/";

interface Engine {
  readonly db: Awaited<ReturnType<typeof createDuckDB>>;
  readonly connection: DuckDBConnection;
  readonly fileProtocol: number;
}
let engine: Promise<Engine> | undefined;
let serial = 0;

async function load(): Promise<Engine> {
  const duckdb = await import("@duckdb/duckdb-wasm/blocking");
  // One bundle under both names: whatever the engine believes of its host, it takes the pinned one.
  const bundle = { mainModule: wasmPath(), mainWorker: "" };
  const db = await duckdb.createDuckDB({ mvp: bundle, eh: bundle }, new duckdb.VoidLogger(), duckdb.NODE_RUNTIME);
  await db.instantiate();
  if (db.getVersion() !== ENGINE_VERSION) {
    throw new Error(`Cannot use engine "${db.getVersion()}": is not the tested one, must be ${ENGINE_VERSION}`);
  }
  return { db, connection: db.connect(), fileProtocol: duckdb.DuckDBDataProtocol.NODE_FS };
}

/** Loads the engine, some 0.3 s, unless it is loaded. */
export async function warm(): Promise<void> {
  await (engine ??= load());
}

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const DECIMAL = {
  narrow: `DECIMAL(${NARROW.integer + NARROW.fraction},${NARROW.fraction})`,
  wide: `DECIMAL(${INTEGER_DIGITS_MAX + FRACTION_DIGITS_MAX},${FRACTION_DIGITS_MAX})`,
} as const;
const typed = (kind: Kind, decimal: string): string =>
  kind === "decimal" ? decimal : kind === "int" || kind === "time" ? "BIGINT" : "VARCHAR";

/** The columns that a wide decimal is parsed from. */
const PARTS = [[" upper", "BIGINT"], [" lower", "BIGINT"], [
  " fraction",
  `DECIMAL(18,${FRACTION_DIGITS_MAX})`,
]] as const;
const isSplit = ({ kind }: Column, width: "narrow" | "wide"): boolean => width === "wide" && kind === "decimal";
const joined = ({ name }: Column): string =>
  `CAST(CAST("${name} upper" AS HUGEINT) * 1000000000000000000 + "${name} lower" AS ${DECIMAL.wide}) + CAST("${name} fraction" AS ${DECIMAL.wide})`;

/** What a column is in the file, made of the parsed one; null in all rows when no section has it. */
function kept({ name, kind }: Column, live: boolean): string {
  if (kind === "time") return `CAST(make_timestamp("${name}") AS TIMESTAMPTZ) AS "${name}"`;
  return `CAST(${live ? `"${name}"` : "NULL"} AS ${typed(kind, DECIMAL.wide)}) AS "${name}"`;
}

/**
 * The bytes of a Parquet file with the draft's rows, at least one.
 * @throws {Error} when the file does not hold as many rows as were given
 */
export async function write(columns: readonly Column[], partition: number, draft: Draft): Promise<Uint8Array> {
  const { db, connection } = await (engine ??= load());
  const live = draft.sections.at(-1)?.live ?? [];
  // Decimals are widened after the sort, which then moves fewer bytes, unless some rows are wide before it.
  const decimal = draft.sections.some(({ wide }) => wide.size > 0) ? DECIMAL.wide : DECIMAL.narrow;
  // A name that the engine wrote to or read from before is not as good as new, so each is used once.
  const used: string[] = [];
  const parts: string[] = [];
  try {
    for (const section of draft.sections) {
      for (const width of ["narrow", "wide"] as const) {
        if (section[width].size === 0) continue;
        const name = `${SANDBOX}d${++serial}.tsv`;
        used.push(name);
        db.registerFileBuffer(name, section[width].encode());
        const parsed = columns.filter((_, i) => section.live[i]);
        const given = columns.filter((_, i) => live[i]).map((column) =>
          `CAST(${
            !parsed.includes(column) ? "NULL" : isSplit(column, width) ? joined(column) : `"${column.name}"`
          } AS ${typed(column.kind, decimal)}) AS "${column.name}"`
        );
        const types = parsed.flatMap((column) =>
          isSplit(column, width)
            ? PARTS.map(([part, type]) => `'${column.name}${part}': '${type}'`)
            : [`'${column.name}': '${typed(column.kind, DECIMAL.narrow)}'`]
        );
        parts.push(`SELECT ${given.join(", ")} FROM read_csv('${name}', auto_detect=false, parallel=false, header=false,
          delim='\t', quote='${QUOTE}', escape='${QUOTE}', nullstr='${NULL}', maximum_line_size=${LINE_BYTES_MAX},
          columns={${types.join(", ")}})`);
      }
    }
    const target = `${SANDBOX}d${++serial}.parquet`;
    used.push(target);
    // A name that is not registered would be a path on the real disk.
    db.registerFileBuffer(target, new Uint8Array(0));
    const [first, ...others] = columns;
    const list = others.map((column, i) => kept(column, live[i + 1] === true)).join(", ");
    connection.query(`COPY (SELECT CAST(${partition} AS INTEGER) AS "${first!.name}", ${list}
      FROM (SELECT * FROM (${parts.join(" UNION ALL ")}) ORDER BY symbol, event_time, origin))
      TO '${target}' (FORMAT PARQUET, COMPRESSION ZSTD, ROW_GROUP_SIZE ${GROUP_ROWS})`);
    const bytes = db.copyFileToBuffer(target);
    const rows = Number(parquetMetadata(exactBuffer(bytes)).num_rows);
    if (rows !== draft.rows) {
      throw new Error(`Cannot write Parquet file: it holds ${rows} rows, must hold ${draft.rows}`);
    }
    return bytes;
  } finally {
    for (const name of used) db.dropFile(name);
  }
}

function exactBuffer(bytes: Uint8Array): ArrayBuffer {
  const { buffer, byteLength } = bytes;
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) return buffer;
  return bytes.slice().buffer as ArrayBuffer;
}

/**
 * The rows of a file, in the order of their origin, with cells as `rowOf` makes them.
 * @throws {Error} when the file's columns are not the table's
 */
export async function read(columns: readonly Column[], bytes: Uint8Array): Promise<readonly Row[]> {
  const file = exactBuffer(bytes);
  const metadata = parquetMetadata(file);
  const names = metadata.schema.slice(1).map((element) => element.name);
  if (names.join() !== columns.map((column) => column.name).join()) {
    throw new Error(`Cannot read Parquet file: its columns are ${names.join()}, must be those of its table`);
  }
  for (const element of metadata.schema) {
    // Without its meaning, a decimal comes as its unscaled bytes and a time as its µs, not as a float and a Date.
    if (element.converted_type !== "UTF8") {
      delete element.converted_type;
      delete element.logical_type;
    }
  }
  let rows: Cell[][] = [];
  await parquetRead({
    file,
    metadata,
    compressors: { ZSTD: unpack },
    parsers: { stringFromBytes: (text: Uint8Array) => text && decoder.decode(text) },
    onComplete: (read: unknown[][]) => rows = read as Cell[][],
  });
  for (const row of rows as unknown[][]) {
    for (let i = 0; i < columns.length; i++) {
      const cell = row[i];
      if (cell === undefined || cell === null) row[i] = null;
      else if (typeof cell === "bigint") row[i] = safe(cell);
      else if (cell instanceof Uint8Array) row[i] = decimalOf(cell);
    }
  }
  return rows.sort((a, b) => (a[1] as number) - (b[1] as number));
}
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// Deno has it; its types do not say so yet.
const zstd = zlib as unknown as {
  zstdDecompressSync(input: Uint8Array, options: { readonly maxOutputLength: number }): Uint8Array;
};

function unpack(input: Uint8Array, length: number): Uint8Array {
  if (length > PAGE_BYTES_MAX) {
    throw new Error(`Cannot unpack page of ${length} bytes: is too large, must have at most ${PAGE_BYTES_MAX}`);
  }
  return zstd.zstdDecompressSync(input, { maxOutputLength: Math.max(length, 1) });
}

function decimalOf(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const high = view.getBigInt64(0), low = view.getBigUint64(8);
  return scaled(high === 0n ? low : (high << 64n) + low, FRACTION_DIGITS_MAX);
}

const safe = (value: bigint): number => {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`Cannot read integer "${value}": is beyond 2^53`);
  return number;
};

/** A value of an answer: decimals as canonical text, times in µs, integers as numbers while they are safe. */
export type Value = string | number | bigint | boolean | null;

/**
 * What a SELECT over the view `ticks`, the union of the files, answers. Only for files that we wrote ourselves. The engine
 * opens them for reading and writing, so a sandbox must allow both.
 * @throws {Error} when a file is missing, or the query fails, at whatever row
 */
export async function query(files: readonly string[], sql: string): Promise<readonly Record<string, Value>[]> {
  if (files.length === 0) throw new RangeError("Cannot query lake: no files are named, must be at least one");
  const { db, connection, fileProtocol } = await (engine ??= load());
  // The engine opens for writing whatever it reads, and would make a file that is not there.
  for (const path of files) await Deno.stat(path);
  // Registered names, since the engine would take a path for a pattern.
  const names = files.map(() => `${SANDBOX}q${++serial}.parquet`);
  names.forEach((name, i) => db.registerFileURL(name, files[i]!, fileProtocol, false));
  try {
    const list = names.map(literal).join(", ");
    connection.query(`CREATE OR REPLACE TEMP VIEW ticks AS SELECT * FROM read_parquet([${list}])`);
    // A SELECT that fails while it runs answers zero rows; this does raise.
    connection.query(`CREATE OR REPLACE TEMP TABLE answer AS ${sql}`);
    const types = new Map<string, string>();
    for (const { column_name, column_type } of connection.query("DESCRIBE answer")) types.set(column_name, column_type);
    const rows = connection.query(
      `SELECT ${[...types].map(([name, type]) => plain(name, type)).join(", ")} FROM answer`,
    );
    return [...rows].map((row) => {
      const entries = [...types].map(([name, type]): [string, Value] => [name, valueOf(row[name], type)]);
      return Object.fromEntries(entries);
    });
  } finally {
    connection.query("DROP VIEW IF EXISTS ticks");
    connection.query("DROP TABLE IF EXISTS answer");
    for (const name of names) db.dropFile(name);
  }
}

const NATIVE = /^(?:BOOLEAN|TINYINT|SMALLINT|INTEGER|BIGINT|DOUBLE|VARCHAR)$/;
function plain(name: string, type: string): string {
  const column = `"${name.replaceAll('"', '""')}"`;
  if (NATIVE.test(type)) return column;
  return type.startsWith("TIMESTAMP") ? `epoch_us(${column}) AS ${column}` : `CAST(${column} AS VARCHAR) AS ${column}`;
}

function valueOf(value: Value, type: string): Value {
  if (value === null) return null;
  if (type.startsWith("DECIMAL")) return canonical(String(value));
  const integer = type === "HUGEINT" ? BigInt(String(value)) : value;
  return typeof integer === "bigint" && Number.isSafeInteger(Number(integer)) ? Number(integer) : integer;
}
