/**
 * The hot store's schema in both SQL dialects, generated from the columns of `lib/table.ts`, as numbered migrations
 * that are never edited once released: a change of tables is a new entry at the end.
 *
 * **In** columns, **Out** DDL, and the fault of a row that the tables would not take. **Knows** `table`, `failure`.
 */
import { Refusal } from "./failure.ts";
import { type Column, REJECTED_COLUMNS, type Row, type TableName, TABLES } from "./table.ts";

/** The tables of the hot store: every tick table, and the rejected messages. */
type HotTable = TableName | "rejected";

/** Every hot table and its columns in order. */
export const HOT_TABLES: Readonly<Record<HotTable, readonly Column[]>> = { ...TABLES, rejected: REJECTED_COLUMNS };
/** Names of the hot tables. */
export const HOT_TABLE_NAMES = Object.keys(HOT_TABLES) as readonly HotTable[];
/** Days that one table of Postgres may have, a partition each; bounds what a feed with a wild clock can create. */
export const DAYS_MAX = 8_000;

export type Dialect = "sqlite" | "postgres";

const SQL_TYPES: Readonly<Record<Dialect, Readonly<Record<Column["kind"], string>>>> = {
  // SQLite has no exact decimal: canonical text is exact, and STRICT keeps integers integers.
  sqlite: { int: "integer", time: "integer", text: "text", name: "text", decimal: "text", list: "text" },
  // Collation "C" compares bytes: the index on symbol costs a fifth less than in a language's order.
  postgres: {
    int: "bigint",
    time: "timestamptz",
    text: "text",
    name: 'text collate "C"',
    decimal: "numeric",
    list: "text",
  },
};

/** Names of the columns, quoted where SQL reserves them, joined for a statement. */
export function columnList(columns: readonly Column[]): string {
  return columns.map(({ name }) => quoted(name)).join(", ");
}

/** The migrations of a dialect; entry `n` brings version `n` to version `n + 1`. */
export function migrationsOf(dialect: Dialect): readonly string[] {
  return [first(dialect), gaps(dialect), commits(dialect), severities(dialect), standings(dialect)];
}

/** @throws {Refusal} when the store's schema is newer than this code's */
export function assertKnown(store: string, version: number, dialect: Dialect): void {
  const known = migrationsOf(dialect).length;
  if (version > known) {
    throw new Refusal(
      `Cannot open hot store "${store}": its schema has version ${version}, must be at most ${known} (a newer Tapedeck wrote it)`,
    );
  }
}

/**
 * Asks for a venue's symbols in a table, `?` or `$1` being the venue and `$2` how many at most. It goes from one symbol to
 * the next by their index, instead of through all rows.
 */
export function symbolsQuery(table: TableName, [venue, max] = ["?", "?"]): string {
  return `with recursive known(symbol) as (select min(symbol) from ${table} union all
    select (select min(symbol) from ${table} where symbol > known.symbol) from known where known.symbol is not null)
    select symbol from known where symbol is not null
      and exists (select 1 from ${table} t where t.symbol = known.symbol and t.venue = ${venue})
    order by symbol limit ${max}`;
}

/** DDL that creates the Postgres partition of a table's day if it is missing; safe while others do the same. */
export function dayOf(table: HotTable, date: string): string {
  const leaf = leafOf(table, date);
  const next = new Date(Date.parse(date) + 86_400_000).toISOString().slice(0, 10);
  // ATTACH takes a lock that lets readers and writers go on; CREATE TABLE … PARTITION OF would stop them.
  return `do $$ begin
    perform pg_advisory_xact_lock(${ADVISORY_LOCK}, hashtext(current_schema()));
    if to_regclass('${leaf}') is null then
      if (select count(*) from pg_inherits where inhparent = '${table}'::regclass) >= ${DAYS_MAX} then
        raise exception 'table ${table} has ${DAYS_MAX} days already';
      end if;
      create table ${leaf} (like ${table} including defaults including constraints);
      alter table ${table} attach partition ${leaf} for values from ('${date} 00:00:00+00') to ('${next} 00:00:00+00');
    end if;
  end $$`;
}

/** First key of the advisory locks that keep two processes from changing one schema at once. */
export const ADVISORY_LOCK = 0x7461;

/**
 * What makes a row impossible to store, in words; null when nothing does.
 * The stores check types themselves; a store without types asks here.
 */
export function faultOf(columns: readonly Column[], row: Row): string | null {
  if (row.length !== columns.length) return `has ${row.length} cells, must have ${columns.length}`;
  for (const [i, { name, kind, nullable }] of columns.entries()) {
    const cell = row[i];
    if (cell === null && nullable) continue;
    const wanted = kind === "int" || kind === "time" ? Number.isSafeInteger(cell) : typeof cell === "string";
    if (!wanted) return `has ${cell === null ? "null" : typeof cell} in "${name}", must have ${kind}`;
  }
  return null;
}

function leafOf(table: HotTable, date: string): string {
  return `${table}_${date.replaceAll("-", "")}`;
}

function quoted(name: string): string {
  return name === "partition" || name === "key" ? `"${name}"` : name;
}

/** Columns that a later migration adds. */
const LATER: readonly string[] = ["severity", "standing"];

function first(dialect: Dialect): string {
  const types = SQL_TYPES[dialect];
  const end = dialect === "sqlite" ? " strict" : "";
  const tables = HOT_TABLE_NAMES.map((table) => {
    const columns = HOT_TABLES[table].filter(({ name }) => !LATER.includes(name)).map(({ name, kind, nullable }) =>
      `${quoted(name)} ${types[kind]}${nullable ? "" : " not null"}${finite(dialect, kind, name)}`
    );
    const byDay = dialect === "postgres" && table !== "rejected" ? " partition by range (event_time)" : "";
    const indexes = [];
    if (table !== "rejected") indexes.push(`create index ${table}_symbol_time on ${table} (symbol, event_time);`);
    if (dialect === "postgres") {
      // A block range index costs inserts next to nothing and finds a range of origins; multi-minmax, since
      // partitions of unequal speed interleave in the same blocks.
      indexes.push(
        `create index ${table}_origin on ${table} using brin (origin int8_minmax_multi_ops) with (pages_per_range = 64);`,
      );
    }
    return `create table ${table} (${columns.join(", ")})${byDay}${end};\n${indexes.join("\n")}`;
  });
  const whole = types.int;
  return [
    ...tables,
    `create table sink_offsets (sink text not null, topic text not null, "partition" ${whole} not null,
      identity text not null, epoch ${whole} not null, next_off ${whole} not null, origin ${whole} not null,
      since ${types.time} not null, primary key (sink, topic, "partition"))${end};`,
  ].join("\n");
}

/** What sinks gave up, since the log had lost it before they applied it. */
function gaps(dialect: Dialect): string {
  const { int: whole, time } = SQL_TYPES[dialect];
  return `create table gaps (sink text not null, topic text not null, "partition" ${whole} not null,
    first_off ${whole} not null, last_off ${whole} not null, given_up ${time} not null,
    primary key (sink, topic, "partition", first_off))${dialect === "sqlite" ? " strict" : ""};`;
}

/** When a place last moved: an owner that lives and moves nothing is known by it. */
function commits(dialect: Dialect): string {
  return `alter table sink_offsets add column updated_at ${SQL_TYPES[dialect].time};`;
}

/** How severe it was; all that was set aside before there were severities was rejected. */
function severities(dialect: Dialect): string {
  return `alter table rejected add column severity ${SQL_TYPES[dialect].name} not null default 'reject';`;
}

/** Where it stood in its series, by which it is redriven. */
function standings(dialect: Dialect): string {
  return `alter table rejected add column standing ${SQL_TYPES[dialect].name};`;
}

/** `numeric` accepts NaN and Infinity, which order above every number; no writer of ours can send them, others might. */
function finite(dialect: Dialect, kind: Column["kind"], name: string): string {
  return dialect === "postgres" && kind === "decimal" ? ` check (${name} < 'Infinity' and ${name} > '-Infinity')` : "";
}
