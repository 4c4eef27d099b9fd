/**
 * Parquet, written by DuckDB and read by another: what duckdb-wasm writes, hyparquet reads as an independent witness.
 *
 * Every file of a table has one schema for ever: `int` BIGINT, `time` TIMESTAMP in µs UTC, `decimal` DECIMAL(38,12), the
 * rest VARCHAR; zstd, ordered by `symbol, event_time, origin`. The same rows give the same bytes. The engine is loaded by
 * the first who needs it and blocks its thread while it works.
 * **In** drafts, **Out** the bytes of files, rows again, answers to SQL.
 * **Knows** `table`, `decimal`.
 */
import * as zlib from "node:zlib";
import type * as Arrow from "apache-arrow";
import { parquetMetadata, parquetRead } from "hyparquet";
import { FRACTION_DIGITS_MAX, INTEGER_DIGITS_MAX, scaled } from "./decimal.ts";
import { Decimals, type Draft, Integers, Names, Texts, type Vector } from "./parquet/draft.ts";
import { engine, fresh, TYPES } from "./parquet/engine.ts";
import { type Value, Views } from "./parquet/views.ts";
import type { Cell, Column, Row } from "./table.ts";

export { Draft } from "./parquet/draft.ts";
export { ENGINE, TYPES, warm, wasmPath } from "./parquet/engine.ts";
export { type Answer, type Value, Views } from "./parquet/views.ts";

/** Rows of a row group: small enough to prune by symbol, large enough to compress. */
const GROUP_ROWS = 40_960;
/** Bytes that one page of a file may unpack to; DuckDB closes a page at 100 MB. */
const PAGE_BYTES_MAX = 256 << 20;

/** A column as Arrow has it. */
function dataOf(arrow: typeof Arrow, vector: Vector, rows: number): Arrow.Data {
  const column = { length: rows, ...validity(vector.valid, rows) };
  if (vector instanceof Integers) {
    return arrow.makeData({
      type: new arrow.Int64(),
      ...column,
      data: new BigInt64Array(vector.words.buffer, 0, rows),
    });
  }
  if (vector instanceof Decimals) {
    const type = new arrow.Decimal(FRACTION_DIGITS_MAX, INTEGER_DIGITS_MAX + FRACTION_DIGITS_MAX);
    return arrow.makeData({ type, ...column, data: vector.words.subarray(0, rows * 4) });
  }
  if (vector instanceof Names) {
    const type = new arrow.Dictionary(new arrow.Utf8(), new arrow.Int32());
    const dictionary = arrow.vectorFromArray(vector.values, new arrow.Utf8());
    return arrow.makeData({ type, ...column, data: vector.places.subarray(0, rows), dictionary });
  }
  const { ends, bytes } = vector as Texts;
  const text = { valueOffsets: ends.subarray(0, rows + 1), data: bytes.subarray(0, ends[rows]) };
  return arrow.makeData({ type: new arrow.Utf8(), ...column, ...text });
}

/** The bits that say where there is a value; none where there is one in every row. */
function validity(valid: Uint8Array, rows: number): { nullCount: number; nullBitmap?: Uint8Array } {
  const nullBitmap = new Uint8Array(Math.ceil(rows / 8));
  let nullCount = rows;
  for (let i = 0; i < rows; i++) {
    if (valid[i] === 0) continue;
    nullBitmap[i >> 3]! |= 1 << (i & 7);
    nullCount--;
  }
  return nullCount === 0 ? { nullCount } : { nullCount, nullBitmap };
}

/** The draft as a stream of Arrow, without the columns that are null in every row. */
function streamOf(arrow: typeof Arrow, { columns, vectors, rows }: Draft): Uint8Array {
  const named = columns.flatMap(({ name }, i) => {
    const vector = vectors[i];
    return vector ? [[name, dataOf(arrow, vector, rows)] as const] : [];
  });
  const fields = named.map(([name, { type }]) => new arrow.Field(name, type, true));
  const children = named.map(([, data]) => data);
  const struct = arrow.makeData({ type: new arrow.Struct(fields), length: rows, nullCount: 0, children });
  const schema = new arrow.Schema(fields);
  return arrow.tableToIPC(new arrow.Table(schema, new arrow.RecordBatch(schema, struct)), "stream");
}

/** What a column is in the file. */
function kept({ name, kind }: Column, given: boolean): string {
  if (!given) return `CAST(NULL AS ${TYPES[kind]}) AS "${name}"`;
  return kind === "time" ? `CAST(make_timestamp("${name}") AS TIMESTAMPTZ) AS "${name}"` : `"${name}"`;
}

/** How rows lie in a file, so that statistics of its groups tell symbols apart. */
const ORDER = ["symbol", "event_time", "origin"];

/**
 * The bytes of a Parquet file with the draft's rows, at least one.
 * @throws {Error} when the file does not hold as many rows as were given
 */
export async function write(partition: number, draft: Draft): Promise<Uint8Array> {
  const { db, connection, arrow } = await engine();
  // A name that the engine wrote to before is not as good as new, so each is used once.
  const target = fresh("d");
  try {
    connection.insertArrowFromIPCStream(streamOf(arrow, draft), { name: "draft", create: true });
    // A name that is not registered would be a path on the real disk.
    db.registerFileBuffer(target, new Uint8Array(0));
    const [first, ...others] = draft.columns;
    const list = others.map((column, i) => kept(column, draft.vectors[i + 1] !== null)).join(", ");
    // A column in which no row has anything was not handed over, and orders nothing.
    const order = ORDER.filter((name) => {
      return draft.vectors[draft.columns.findIndex((column) => column.name === name)] !== null;
    });
    connection.query(`COPY (SELECT CAST(${partition} AS INTEGER) AS "${first!.name}", ${list}
      FROM (SELECT * FROM draft ORDER BY ${order.join(", ")}))
      TO '${target}' (FORMAT PARQUET, COMPRESSION ZSTD, ROW_GROUP_SIZE ${GROUP_ROWS})`);
    const bytes = db.copyFileToBuffer(target);
    const rows = Number(parquetMetadata(exactBuffer(bytes)).num_rows);
    if (rows !== draft.rows) {
      throw new Error(`Cannot write Parquet file: it holds ${rows} rows, must hold ${draft.rows}`);
    }
    return bytes;
  } finally {
    connection.query("DROP TABLE IF EXISTS draft");
    db.dropFile(target);
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

/**
 * What a SELECT over the view `ticks`, the union of the files, answers; a file is its path or its bytes. Only for files that
 * we wrote ourselves. The engine opens paths for reading and writing, so a sandbox must allow both; bytes need neither.
 * @throws {Error} when a file is missing, or the query fails, at whatever row
 */
export async function query(
  files: readonly (string | Uint8Array)[],
  sql: string,
): Promise<readonly Record<string, Value>[]> {
  if (files.length === 0) throw new RangeError("Cannot query lake: no files are named, must be at least one");
  using views = await Views.open();
  await views.define("ticks", files);
  return views.ask(sql);
}
