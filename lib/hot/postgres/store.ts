/**
 * The tables on a Postgres server: rows by COPY, partitioned by day of event time, in one transaction with the offset.
 *
 * A transaction holds the row lock of its place from before the first COPY to the commit, so no committed row can exist
 * beyond the offset that it read; that is why tick tables need no primary key.
 * **In** rows, **Out** rows, in the order of their origin.
 * **Knows** `hot`, `schema`, `table`, `fence`, `failure`.
 */
import { Refusal } from "../../failure.ts";
import type { Gap, Holding, Place } from "../../fence.ts";
import { assertStands, type Commit, type Hot, type HotTable, tablesOf, unaccounted } from "../../hot.ts";
import {
  ADVISORY_LOCK,
  assertKnown,
  columnList,
  dayOf,
  HOT_TABLE_NAMES,
  HOT_TABLES,
  migrationsOf,
  symbolsQuery,
} from "../../schema.ts";
import type { Instrument, Row, TableName } from "../../table.ts";
import type { World } from "../../world.ts";
import type { Link, Session } from "../postgres.ts";
import { dayNumber, piecesOf, timeText } from "./copy.ts";

const CHUNK_ROWS = 5_000;

/** The rows for one table. */
type Load = [HotTable, readonly Row[]];

/** Brings the schema up to date, unless it is but looked at, and opens the store. */
export async function openStore(session: Session, schema: string, world: World, tryThis: string): Promise<Hot> {
  const version = await session.write((link) =>
    world.isLooking ? versionOf(link, session.name) : migrate(link, schema, session.name)
  );
  return new PostgresHot(session, world, tryThis, version);
}

class PostgresHot implements Hot {
  readonly tryThis: string;
  readonly version: number;
  readonly #session: Session;
  readonly #world: World;
  /** `table/day` of the partitions that are known to exist. */
  readonly #days = new Set<string>();
  readonly #readers: Link[] = [];
  readonly #summarized = new Set<HotTable>();

  constructor(session: Session, world: World, tryThis: string, version: number) {
    this.version = version;
    this.#session = session;
    this.#world = world;
    this.tryThis = tryThis;
  }

  acquire({ sink, topic, partition }: Place): Promise<Holding | null> {
    const since = timeText(this.#world.now() * 1000);
    return this.#session.write(async ({ sql }) => {
      const [row] = await sql`update sink_offsets set epoch = epoch + 1, since = ${since}
        where (sink, topic, partition) = (${sink}, ${topic}, ${partition}) returning *`;
      return row === undefined ? null : holdingOf(row);
    });
  }

  begin({ sink, topic, partition }: Place, identity: string, next: number): Promise<Holding> {
    const since = this.#world.now();
    return this.#session.write(async ({ sql }, again) => {
      const kept = tablesOf(topic).map((table) =>
        `(select '${table}' as name from ${table} where "partition" = ${Number(partition)} limit 1)`
      ).join(" union all ");
      const [row] =
        await sql`insert into sink_offsets (sink, topic, partition, identity, epoch, next_off, origin, since)
        select ${sink}, ${topic}, ${partition}, ${identity}, 1, ${next}, -1, ${timeText(since * 1000)}
        where not exists (${sql.unsafe(kept)})
        on conflict (sink, topic, partition) do nothing returning *`;
      if (row !== undefined) return holdingOf(row);
      const stands = await standing(sql, { sink, topic, partition });
      if (again && stands?.epoch === 1 && stands.identity === identity && stands.since === since) return stands;
      const [rows] = stands === null ? await sql.unsafe(kept) : [];
      if (rows !== undefined) throw unaccounted({ sink, topic, partition }, rows.name as HotTable);
      throw new Refusal(`Cannot begin place "${sink}/${topic}/${partition}": it was begun already, must be acquired`);
    });
  }

  skip(held: Holding, next: number): Promise<Holding> {
    const committed = this.#world.now();
    const at = timeText(committed * 1000);
    const { sink, topic, partition } = held;
    return this.#session.write(async ({ sql }, again) => {
      await sql.unsafe("begin");
      const stands = await standing(sql, held, true);
      if (again && stands?.epoch === held.epoch && stands.next === next) {
        await sql.unsafe("rollback");
        return stands;
      }
      assertStands({ held, next, origin: held.origin, rows: {} }, stands);
      await sql`insert into gaps (sink, topic, partition, first_off, last_off, given_up)
        values (${sink}, ${topic}, ${partition}, ${held.next}, ${next - 1}, ${at})`;
      await sql`update sink_offsets set next_off = ${next}, updated_at = ${at}
        where (sink, topic, partition) = (${sink}, ${topic}, ${partition})`;
      await sql.unsafe("commit");
      return { ...stands, next, committed };
    }, partition);
  }

  gaps(): Promise<readonly Gap[]> {
    return this.#session.write(async ({ sql }) =>
      (await sql`select * from gaps order by sink, topic, partition, first_off`).map(gapOf)
    );
  }

  holdings(): Promise<readonly Holding[]> {
    return this.#session.write(async ({ sql }) =>
      (await sql`select * from sink_offsets order by sink, topic, partition`).map(holdingOf)
    );
  }

  clock(): Promise<number> {
    return this.#session.write(async ({ sql }) => {
      const [row] = await sql`select (extract(epoch from clock_timestamp()) * 1000)::float8 as now`;
      return row!.now as number;
    });
  }

  async apply(commit: Commit): Promise<Holding> {
    const tables = (Object.entries(commit.rows) as Load[]).filter(([, rows]) => rows.length > 0);
    for (const [table, rows] of tables) assertWidth(table, rows);
    try {
      const work = (link: Link, again: boolean) => this.#apply(link, again, commit, tables);
      return await this.#session.write(work, commit.held.partition);
    } catch (error) {
      // A day that somebody dropped is created again by the next attempt.
      this.#days.clear();
      throw error;
    }
  }

  async #apply(link: Link, again: boolean, commit: Commit, tables: readonly Load[]): Promise<Holding> {
    const { held, next, origin } = commit;
    const { sql } = link;
    for (const [table, rows] of tables) if (table !== "rejected") await this.#createDays(link, table, rows);
    const [, stands] = await Promise.all([sql.unsafe("begin"), standing(sql, held, true)]);
    // The outcome of a lost COMMIT is looked up: the epoch is ours and the offset is there, so it got through.
    if (again && stands?.epoch === held.epoch && stands.next === next && stands.origin === origin) {
      await sql.unsafe("rollback");
      return stands;
    }
    assertStands(commit, stands);
    const committed = this.#world.now();
    for (const [table, rows] of tables) {
      const columns = HOT_TABLES[table];
      const statement = `copy ${table} (${columnList(columns)}) from stdin (format binary)`;
      await link.copy(statement, piecesOf(table, columns, rows));
    }
    const [, done] = await Promise.all([
      sql`update sink_offsets set next_off = ${next}, origin = ${origin}, updated_at = ${timeText(committed * 1000)}
        where (sink, topic, partition) = (${held.sink}, ${held.topic}, ${held.partition})`,
      sql.unsafe("commit"),
    ]);
    if (done.command !== "COMMIT") {
      throw new Refusal(`Cannot commit to Postgres "${this.#session.name}": it rolled back, must accept every row`);
    }
    return { ...stands, next, origin, committed };
  }

  async *rows(table: HotTable, partition: number, from: number, to: number): AsyncGenerator<readonly Row[]> {
    yield* this.#chunks(
      table,
      `select ${columnList(HOT_TABLES[table])} from ${table}
        where "partition" = $1 and origin >= $2 and origin < $3 order by origin`,
      [partition, from, to],
    );
  }

  told(table: TableName, { venue, symbol }: Instrument, from: number, to: number): AsyncGenerator<readonly Row[]> {
    return this.#chunks(
      table,
      `select ${columnList(HOT_TABLES[table])} from ${table} where symbol = $1 and venue = $2
        and event_time >= $3 and event_time <= $4 and source is distinct from 'built' order by "partition", origin`,
      [symbol, venue, timeText(from), timeText(to)],
    );
  }

  dated(table: TableName, from: number, to: number, symbol: string | null): AsyncGenerator<readonly Row[]> {
    return this.#chunks(
      table,
      `select ${columnList(HOT_TABLES[table])} from ${table} where event_time >= $1 and event_time < $2${
        symbol === null ? "" : " and symbol = $3"
      }`,
      symbol === null ? [timeText(from), timeText(to)] : [timeText(from), timeText(to), symbol],
    );
  }

  async lastTold(
    table: TableName,
    { venue, symbol }: Instrument,
    to: number,
    before: number,
  ): Promise<Row | null> {
    const rows = this.#chunks(
      table,
      `select ${columnList(HOT_TABLES[table])} from ${table} where symbol = $1 and venue = $2 and event_time <= $3
        and origin < $4 and source is distinct from 'built' order by event_time desc, origin desc limit 1`,
      [symbol, venue, timeText(to), before],
    );
    const [row] = (await Array.fromAsync(rows)).flat();
    return row ?? null;
  }

  async symbols(table: TableName, venue: string, max: number): Promise<readonly string[]> {
    const link = await this.#session.read();
    try {
      const rows = await link.sql.unsafe(symbolsQuery(table, ["$1", "$2"]), [venue, max]);
      return rows.map(({ symbol }) => symbol as string);
    } finally {
      await link.close();
    }
  }

  async *#chunks(table: HotTable, query: string, values: (string | number)[]): AsyncGenerator<readonly Row[]> {
    const link = this.#readers.pop() ?? await this.#session.read();
    let ended = false;
    try {
      await this.#summarize(link, table);
      const answer = link.sql.unsafe(query, values);
      for await (const chunk of answer.values().cursor(CHUNK_ROWS)) yield [...chunk] as unknown as readonly Row[];
      ended = true;
    } finally {
      // A reader that stopped half way leaves a query behind, and perhaps a broken link.
      if (ended) this.#readers.push(link);
      else await link.close();
    }
  }

  async partitions(table: HotTable): Promise<readonly number[]> {
    // It reads the whole table, in which the server may be silent for longer than a writer's link allows.
    const link = await this.#session.read();
    try {
      const rows = await link.sql.unsafe(`select distinct "partition" from ${table}`);
      return rows.map(({ partition }) => partition as number);
    } finally {
      await link.close();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.splice(0).map((link) => link.close()));
    await this.#session.close();
  }

  /** Creates the missing partitions of the rows' days, each in a transaction of its own, before the rows'. */
  async #createDays({ sql }: Link, table: HotTable, rows: readonly Row[]): Promise<void> {
    const at = HOT_TABLES[table].findIndex(({ name }) => name === "event_time");
    let last = NaN;
    for (const row of rows) {
      const day = dayNumber(row[at] as number);
      if (day === last) continue;
      last = day;
      const key = `${table}/${day}`;
      if (!(day >= 0) || this.#days.has(key)) continue;
      await sql.unsafe(dayOf(table, new Date(day * 86_400_000).toISOString().slice(0, 10)));
      this.#days.add(key);
    }
  }

  /** Lets the index of origins learn the newest blocks, which it otherwise learns at the next vacuum. */
  async #summarize({ sql }: Link, table: HotTable): Promise<void> {
    if (this.#summarized.has(table)) return;
    this.#summarized.add(table);
    await sql`select brin_summarize_new_values(i.indexrelid) from pg_index i
      join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
      where a.amname = 'brin' and c.relkind = 'i' and i.indrelid in (select relid from pg_partition_tree(${table}::regclass))
        and pg_has_role(c.relowner, 'usage')`;
  }
}

/** The schema's version as it lies there; 0 before the first migration. */
async function versionOf({ sql }: Link, name: string): Promise<number> {
  const [there] = await sql`select to_regclass('tapedeck_schema') is not null as exists`;
  if (there!.exists !== true) return 0;
  const [row] = await sql`select version from tapedeck_schema`;
  assertKnown(name, row!.version as number, "postgres");
  return row!.version as number;
}

/** Runs the migrations that are missing, one process at a time, and gives the version that is reached. */
async function migrate({ sql }: Link, schema: string, name: string): Promise<number> {
  await sql.unsafe("begin");
  await sql`select pg_advisory_xact_lock(${ADVISORY_LOCK}, hashtext(${schema}))`;
  const [known] = await sql`select 1 from pg_namespace where nspname = ${schema}`;
  if (known === undefined) await sql.unsafe(`create schema ${schema}`);
  const [{ exists }] = await sql`select to_regclass('tapedeck_schema') is not null as exists` as unknown as [
    { exists: boolean },
  ];
  if (!exists) {
    const taken = await sql`select relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where nspname = ${schema} and relname in ${sql(HOT_TABLE_NAMES)}`;
    if (taken.length > 0) {
      throw new Refusal(
        `Cannot open hot store "${name}": schema "${schema}" has a table "${
          taken[0]!.relname
        }" of another program, must be free of it (or another one with ?schema=)`,
      );
    }
    await sql.unsafe("create table tapedeck_schema (version bigint not null)");
    await sql`insert into tapedeck_schema values (0)`;
  }
  const [row] = await sql`select version from tapedeck_schema`;
  const version = row!.version as number;
  assertKnown(name, version, "postgres");
  const migrations = migrationsOf("postgres");
  for (const migration of migrations.slice(version)) await sql.unsafe(migration);
  if (version < migrations.length) await sql`update tapedeck_schema set version = ${migrations.length}`;
  await sql.unsafe("commit");
  return migrations.length;
}

async function standing(sql: Link["sql"], { sink, topic, partition }: Place, lock = false): Promise<Holding | null> {
  const [row] = await sql`select * from sink_offsets
    where (sink, topic, partition) = (${sink}, ${topic}, ${partition}) ${lock ? sql`for update` : sql``}`;
  return row === undefined ? null : holdingOf(row);
}

function holdingOf(row: Record<string, unknown>): Holding {
  const { next_off: next, since, updated_at, ...rest } = row;
  const committed = typeof updated_at === "number" ? { committed: updated_at / 1000 } : {};
  return { ...rest, next, since: since as number / 1000, ...committed } as Holding;
}

function gapOf(row: Record<string, unknown>): Gap {
  const { first_off: first, last_off: last, given_up, ...place } = row;
  return { ...place, first, last, at: given_up as number / 1000 } as Gap;
}

/** @throws {Refusal} when a row does not have the table's width */
function assertWidth(table: HotTable, rows: readonly Row[]): void {
  const width = HOT_TABLES[table].length;
  const odd = rows.find((row) => row.length !== width);
  if (odd === undefined) return;
  throw new Refusal(`Cannot store row of "${table}", origin ${odd[1]}: has ${odd.length} cells, must have ${width}`);
}
