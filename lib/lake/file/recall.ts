/**
 * What a lake's files tell of an instrument: asked of DuckDB unit by unit, so that no more is in memory than a unit, which
 * reads the row groups that have the symbol and passes over the rest.
 *
 * Files are read whole and held against their ledger before, since the engine would open their paths for writing.
 * **In** units, **Out** rows. **Knows** `lake`, `parquet`, `table`.
 */
import type { LakeFile, Unit } from "../../lake.ts";
import { query, type Value } from "../../parquet.ts";
import { dateOf, type Instrument, type Row, type TableName, TABLES } from "../../table.ts";
import { bytesOf } from "./ledger.ts";

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

const toldOf = ({ venue, symbol }: Instrument): string =>
  `symbol = ${literal(symbol)} AND venue = ${literal(venue)} AND source IS DISTINCT FROM 'built'`;

async function answers(
  root: string,
  files: readonly LakeFile[],
  sql: string,
): Promise<readonly Record<string, Value>[]> {
  return await query(await Promise.all(files.map((file) => bytesOf(root, file))), sql);
}

const rowsOf = (table: TableName, answer: readonly Record<string, Value>[]): readonly Row[] =>
  answer.map((values) => TABLES[table].map(({ name }) => values[name] as Row[number]));

/** Rows with `from <= event time <= to`, in the order of their origin. */
export async function* told(
  root: string,
  units: readonly Unit[],
  table: TableName,
  instrument: Instrument,
  from: number,
  to: number,
): AsyncGenerator<readonly Row[]> {
  const [first, last] = [dateOf(from), dateOf(to)];
  for (const { files } of units) {
    const some = files.filter((file) => file.table === table && file.date >= first && file.date <= last);
    if (some.length === 0) continue;
    const answer = await answers(
      root,
      some,
      `SELECT * FROM ticks WHERE ${
        toldOf(instrument)
      } AND epoch_us(event_time) BETWEEN ${from} AND ${to} ORDER BY origin`,
    );
    if (answer.length > 0) yield rowsOf(table, answer);
  }
}

/** The last row up to an event time whose origin is below `before`: of the last date, in the last unit. */
export async function lastTold(
  root: string,
  units: readonly Unit[],
  table: TableName,
  instrument: Instrument,
  to: number,
  before: number,
): Promise<Row | null> {
  const lastDate = dateOf(to);
  const files = units.filter(({ first }) => first < before).flatMap((unit) => unit.files)
    .filter((file) => file.table === table && file.date <= lastDate);
  // Stable: of one date in the order of units.
  for (const file of files.sort((a, b) => a.date < b.date ? -1 : a.date > b.date ? 1 : 0).reverse()) {
    const answer = await answers(
      root,
      [file],
      `SELECT * FROM ticks WHERE ${toldOf(instrument)} AND epoch_us(event_time) <= ${to} AND origin < ${before}
        ORDER BY event_time DESC, origin DESC LIMIT 1`,
    );
    if (answer.length > 0) return rowsOf(table, answer)[0]!;
  }
  return null;
}

/** A venue's symbols, in order. */
export async function symbolsIn(
  root: string,
  units: readonly Unit[],
  table: TableName,
  venue: string,
  max: number,
): Promise<readonly string[]> {
  const symbols = new Set<string>();
  for (const file of units.flatMap((unit) => unit.files).filter((file) => file.table === table)) {
    const sql = `SELECT DISTINCT symbol FROM ticks WHERE venue = ${literal(venue)}`;
    for (const { symbol } of await answers(root, [file], sql)) symbols.add(symbol as string);
  }
  return [...symbols].sort().slice(0, max);
}
