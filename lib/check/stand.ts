/**
 * What a run of checks stands on: the views of one date, the instruments that it has, their terms and hours, and the lens
 * through which a part of them is looked at. Instruments are taken in parts of a bounded number of rows, each a range of
 * symbols, so that row groups are pruned and memory is bounded.
 *
 * **In** files by table, **Out** views and lenses. **Knows** `parquet`, `table`, `calendar`.
 */
import { calendarOf, openCalendar } from "../calendar.ts";
import type { Views } from "../parquet.ts";
import { TABLE_NAMES, type TableName, TABLES } from "../table.ts";
import { type Lens, listOf, literal, number, type Subject, SUBJECTS } from "./kind.ts";
import { type Derived, pairedOf, relationOf } from "./relation.ts";

const DAY = 86_400_000_000;

/** Files of one date by table, as paths or bytes. */
export type Files = Readonly<Partial<Record<TableName, readonly (string | Uint8Array)[]>>>;

/** Terms of an instrument in force for events from `since` until `until`, µs. */
export interface Terms {
  readonly venue: string;
  readonly symbol: string;
  readonly since: number;
  readonly until: number;
  readonly tickSize: string;
  readonly lot: string;
  readonly negative: boolean;
}

/** An instrument of the date. */
export interface Listed {
  readonly venue: string;
  readonly symbol: string;
  /** Rows by subject. */
  readonly rows: Readonly<Partial<Record<Subject, number>>>;
}

/** A part of the instruments. */
export interface Part {
  readonly first: string;
  readonly last: string;
  readonly instruments: readonly Listed[];
}

/** A span of a session. */
export interface Hours {
  readonly opens: number;
  readonly closes: number;
  readonly phase: string;
}

/** Defines the views of a date: a table by its name, `hot_` before it where it is of the hot store, and `built`. */
export async function lay(views: Views, files: Files, prefix: "" | "hot_" = ""): Promise<void> {
  for (const table of TABLE_NAMES) {
    const of = files[table] ?? [];
    if (of.length > 0) await views.define(`${prefix}${table}`, of);
    else views.defineEmpty(`${prefix}${table}`, TABLES[table]);
  }
  if (prefix === "") views.run("CREATE OR REPLACE TEMP VIEW built AS SELECT * FROM quotes WHERE source = 'built'");
}

/** The instruments of the date in alphabetical order, with how many rows each has. */
export function instrumentsOf(views: Views, symbol: string | null): readonly Listed[] {
  const found = new Map<string, { venue: string; symbol: string; rows: Partial<Record<Subject, number>> }>();
  const where = symbol === null ? "" : `WHERE symbol = ${literal(symbol)}`;
  const counts = TABLE_NAMES.map((table) =>
    `SELECT ${
      literal(table)
    } AS subject, venue, symbol, count(*) FILTER (WHERE source IS DISTINCT FROM 'built') AS told, count(*) FILTER (WHERE source = 'built') AS built FROM ${table} ${where} GROUP BY ALL`
  );
  for (
    const { subject, venue, symbol, told, built } of views.ask(
      `SELECT * FROM (${counts.join(" UNION ALL ")}) ORDER BY symbol, venue`,
    )
  ) {
    const key = `${venue}:${symbol}`;
    const listed = found.get(key) ?? { venue: String(venue), symbol: String(symbol), rows: {} };
    found.set(key, listed);
    if (number(told) > 0) listed.rows[subject as TableName] = number(told);
    if (subject === "quotes" && number(built) > 0) listed.rows.built = number(built);
  }
  return [...found.values()];
}

const rowsOf = ({ rows }: Listed): number => SUBJECTS.reduce((sum, subject) => sum + (rows[subject] ?? 0), 0);

/** The instruments in parts of `rowsMax` rows, or of one symbol where that has more. */
export function partsOf(instruments: readonly Listed[], rowsMax: number): readonly Part[] {
  const parts: { first: string; last: string; instruments: Listed[] }[] = [];
  let rows = 0;
  for (const listed of instruments) {
    const part = parts.at(-1);
    const more = rowsOf(listed);
    if (part === undefined || (rows + more > rowsMax && part.last !== listed.symbol)) {
      parts.push({ first: listed.symbol, last: listed.symbol, instruments: [listed] });
      rows = more;
    } else {
      part.last = listed.symbol;
      part.instruments.push(listed);
      rows += more;
    }
  }
  return parts;
}

/** The spans of an instrument's sessions that touch the day of UTC; null where its calendar is not known for it. */
export function hoursOf(venue: string, symbol: string, from: number): readonly Hours[] | null {
  const name = calendarOf(venue, symbol);
  if (name === null) return null;
  const calendar = openCalendar(name);
  if (!calendar.knows(from) || !calendar.knows(from + DAY - 1)) return null;
  const spans: Hours[] = [];
  for (const day of [-1, 0, 1]) {
    const date = new Date((from + day * DAY) / 1_000).toISOString().slice(0, 10);
    if (!calendar.knows(date)) continue;
    for (const { opens, closes, phase } of calendar.spansOf(date)) {
      if (opens < from + DAY && closes > from) spans.push({ opens, closes, phase });
    }
  }
  return spans.toSorted((a, b) => a.opens - b.opens);
}

/** Makes the tables of what is known of instruments, which relations are joined with. */
export function layKnown(
  views: Views,
  terms: readonly Terms[],
  hours: readonly (Hours & { readonly venue: string; readonly symbol: string })[],
): void {
  views.run(
    "CREATE OR REPLACE TEMP TABLE terms (venue VARCHAR, symbol VARCHAR, since BIGINT, until BIGINT, tick_size DECIMAL(38,12), lot_size DECIMAL(38,12), is_negative BOOLEAN)",
  );
  views.run(
    "CREATE OR REPLACE TEMP TABLE hours (venue VARCHAR, symbol VARCHAR, opens BIGINT, closes BIGINT, phase VARCHAR)",
  );
  fill(
    views,
    "terms",
    terms.map(({ venue, symbol, since, until, tickSize, lot, negative }) =>
      [
        literal(venue),
        literal(symbol),
        since,
        Number.isFinite(until) ? until : Number.MAX_SAFE_INTEGER,
        literal(tickSize),
        literal(lot),
        negative,
      ].join(", ")
    ),
  );
  fill(
    views,
    "hours",
    hours.map(({ venue, symbol, opens, closes, phase }) =>
      [literal(venue), literal(symbol), opens, closes, literal(phase)].join(", ")
    ),
  );
}

const VALUES_MAX = 500;
function fill(views: Views, table: string, rows: readonly string[]): void {
  for (let i = 0; i < rows.length; i += VALUES_MAX) {
    views.run(`INSERT INTO ${table} VALUES ${rows.slice(i, i + VALUES_MAX).map((row) => `(${row})`).join(", ")}`);
  }
}

/** A lens on a part of the instruments, or on all; `received` are the venues whose quotes have no time of their own. */
export function lensOn(
  range: { readonly first: string; readonly last: string } | null,
  received: readonly string[],
): Lens {
  const within = range === null
    ? "true"
    : range.first === range.last
    ? `symbol = ${literal(range.first)}`
    : `symbol >= ${literal(range.first)} AND symbol <= ${literal(range.last)}`;
  const source = (subject: Subject): string =>
    subject === "built"
      ? `(SELECT * FROM quotes WHERE ${within} AND source = 'built')`
      : `(SELECT * FROM ${subject} WHERE ${within} AND source IS DISTINCT FROM 'built')`;
  const rows = (subject: Subject, needs: readonly Derived[] = []): string => relationOf(source(subject), needs);
  const at = `CASE WHEN venue IN (${listOf(received)}) THEN epoch_us(received_time) ELSE epoch_us(event_time) END`;
  return {
    rows,
    paired: pairedOf(`(${rows("trades", ["approx"])})`, source("quotes"), listOf(received)),
    quoted:
      `SELECT *, coalesce(lead(at) OVER (PARTITION BY venue, symbol ORDER BY at, origin), 9007199254740991) AS until
      FROM (SELECT *, ${at} AS at FROM ${source("quotes")})`,
    hot: (table) => `(SELECT * FROM hot_${table} WHERE ${within})`,
    cold: (table) => `(SELECT * FROM ${table} WHERE ${within})`,
  };
}
