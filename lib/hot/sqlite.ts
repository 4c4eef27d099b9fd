/**
 * The embedded hot store, one SQLite file: `sqlite:data/hot.db`. WAL with synchronous=FULL: what was applied survives a
 * power cut. Decimals are exact text, times integer µs.
 *
 * A file that another program wrote is refused, told by its application id.
 * **In** rows, **Out** rows, in the order of their origin.
 * **Knows** `hot`, `schema`, `table`, `fence`, `patience`, `failure`, `world`.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { Misuse, Outage, reasonOf, Refusal } from "../failure.ts";
import type { Gap, Holding, Place } from "../fence.ts";
import { assertStands, type Commit, type Hot, type HotTable, tablesOf, unaccounted } from "../hot.ts";
import { type Finding, ofDisk, Patience } from "../patience.ts";
import { assertKnown, columnList, HOT_TABLES, migrationsOf, symbolsQuery } from "../schema.ts";
import type { Cell, Instrument, Row, TableName } from "../table.ts";
import type { World } from "../world.ts";
import { ZoneMap } from "./sqlite/zone.ts";

/** "TAPE" in ASCII, in the file's header. */
const APPLICATION_ID = 0x54415045;
/** How long a writer waits for another one; beyond that the disk or the other program hangs. */
const BUSY_MS = 10_000;
/** Rows of one INSERT: a half more rows a second than one by one, and no fewer than 32 or 64. */
const INSERT_ROWS = 16;
/** Statements that are kept ready. */
const INSERTS_MAX = 200;
const CHUNK_ROWS = 10_000;

/** Opens or creates the file, in a folder that is there. @throws {Misuse} when it cannot be a hot store @throws {Refusal} when a newer one */
// deno-lint-ignore require-await -- what is wrong rejects, it does not throw
export async function open(url: string, world: World): Promise<Hot> {
  const path = url.slice("sqlite:".length);
  if (path === "" || path === ":memory:" || path.startsWith("//") || path.includes("\0")) {
    throw new Misuse(`Cannot open hot store "${url}": names no file, must be like sqlite:data/hot.db`);
  }
  return new Patience("sqlite", world, (error) => findingOf(path, "open hot store", error)).persist(() => {
    const db = new DatabaseSync(path, { timeout: BUSY_MS, readOnly: world.isLooking === true });
    try {
      return new SqliteHot(db, path, world, prepareFile(db, path, world.isLooking === true));
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

class SqliteHot implements Hot {
  readonly tryThis: string;
  readonly version: number;
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #world: World;
  readonly #inserts = new Map<string, StatementSync>();
  readonly #zones = new Map<HotTable, ZoneMap>();

  constructor(db: DatabaseSync, path: string, world: World, version: number) {
    this.version = version;
    this.#db = db;
    this.#path = path;
    this.#world = world;
    const file = /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
    this.tryThis = `sqlite3 ${file} "select datetime(event_time / 1000000, 'unixepoch') as time, symbol, price, size,` +
      ` side from trades order by event_time desc limit 5"`;
  }

  acquire(place: Place): Promise<Holding | null> {
    return this.#transact("acquire", () => {
      const held = this.#standing(place);
      if (held === null) return null;
      const { sink, topic, partition } = place;
      const taken = { ...held, epoch: held.epoch + 1, since: this.#world.now() };
      this.#db.prepare("update sink_offsets set epoch = ?, since = ? where (sink, topic, partition) = (?, ?, ?)")
        .run(taken.epoch, taken.since, sink, topic, partition);
      return taken;
    });
  }

  begin({ sink, topic, partition }: Place, identity: string, next: number): Promise<Holding> {
    return this.#transact("begin", () => {
      const held: Holding = { sink, topic, partition, identity, epoch: 1, next, origin: -1, since: this.#world.now() };
      if (this.#standing(held) !== null) {
        throw new Refusal(
          `Cannot begin place "${sink}/${topic}/${partition}": it was begun already, must be acquired`,
        );
      }
      for (const table of tablesOf(topic)) {
        const row = this.#db.prepare(`select 1 from ${table} where "partition" = ? limit 1`).get(partition);
        if (row !== undefined) throw unaccounted(held, table);
      }
      this.#db.prepare(`insert into sink_offsets (${PLACE_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)`)
        .run(sink, topic, partition, identity, held.epoch, next, held.origin, held.since);
      return held;
    });
  }

  skip(held: Holding, next: number): Promise<Holding> {
    return this.#transact("give up records", () => {
      const stands = this.#standing(held);
      assertStands({ held, next, origin: held.origin, rows: {} }, stands);
      const { sink, topic, partition } = held;
      this.#db.prepare(`insert into gaps (${GAP_COLUMNS}) values (?, ?, ?, ?, ?, ?)`)
        .run(sink, topic, partition, held.next, next - 1, this.#world.now());
      const committed = this.#world.now();
      this.#db.prepare(
        "update sink_offsets set next_off = ?, updated_at = ? where (sink, topic, partition) = (?, ?, ?)",
      )
        .run(next, committed, sink, topic, partition);
      return { ...stands, next, committed };
    });
  }

  // deno-lint-ignore require-await
  async gaps(): Promise<readonly Gap[]> {
    return guarded(
      this.#path,
      "read gaps of hot store",
      () =>
        this.#db.prepare(`select ${GAP_COLUMNS} from gaps order by sink, topic, partition, first_off`).all().map(gapOf),
    );
  }

  // deno-lint-ignore require-await
  async holdings(): Promise<readonly Holding[]> {
    return guarded(this.#path, "read places of hot store", () => {
      // All that it has: who looks does not bring the schema up to date.
      return this.#db.prepare("select * from sink_offsets order by sink, topic, partition").all().map(holdingOf);
    });
  }

  apply(commit: Commit): Promise<Holding> {
    return this.#transact("apply", () => {
      const { held, next, origin } = commit;
      const stands = this.#standing(held);
      assertStands(commit, stands);
      for (const [table, rows] of Object.entries(commit.rows)) this.#insert(table as HotTable, rows);
      const committed = this.#world.now();
      this.#db.prepare(
        "update sink_offsets set next_off = ?, origin = ?, updated_at = ? where (sink, topic, partition) = (?, ?, ?)",
      ).run(next, origin, committed, held.sink, held.topic, held.partition);
      return { ...stands, next, origin, committed };
    });
  }

  async *rows(table: HotTable, partition: number, from: number, to: number): AsyncGenerator<readonly Row[]> {
    for (const { low, high } of this.#reading(() => this.#zonesOf(table).spans(partition, from, to))) {
      yield* this.#chunks(
        `select ${columnList(HOT_TABLES[table])} from ${table} where rowid >= ? and rowid < ?
          and "partition" = ? and origin >= ? and origin < ? order by origin, rowid`,
        [low, high, partition, from, to],
      );
    }
  }

  told(table: TableName, { venue, symbol }: Instrument, from: number, to: number): AsyncGenerator<readonly Row[]> {
    // Only the places are sorted, not the rows, whose levels are long. The limit keeps SQLite from taking the order for
    // one that nobody needs; a cross join is done from left to right.
    return this.#chunks(
      `select ${columnList(HOT_TABLES[table])} from (select rowid as place from ${table}
        where symbol = ? and event_time >= ? and event_time <= ? and venue = ? and source is not 'built'
        order by "partition", origin, rowid limit -1) cross join ${table} on ${table}.rowid = place`,
      [symbol, from, to, venue],
    );
  }

  dated(table: TableName, from: number, to: number, symbol: string | null): AsyncGenerator<readonly Row[]> {
    return this.#chunks(
      `select ${columnList(HOT_TABLES[table])} from ${table} where event_time >= ? and event_time < ?${
        symbol === null ? "" : " and symbol = ?"
      }`,
      symbol === null ? [from, to] : [from, to, symbol],
    );
  }

  // deno-lint-ignore require-await
  async lastTold(
    table: TableName,
    { venue, symbol }: Instrument,
    to: number,
    before: number,
  ): Promise<Row | null> {
    return this.#reading(() => {
      const statement = this.#db.prepare(
        `select ${columnList(HOT_TABLES[table])} from ${table} where symbol = ? and event_time <= ? and origin < ?
          and venue = ? and source is not 'built' order by event_time desc, origin desc limit 1`,
      );
      statement.setReturnArrays(true);
      return (statement.get(symbol, to, before, venue) as unknown as Row | undefined) ?? null;
    });
  }

  // deno-lint-ignore require-await
  async symbols(table: TableName, venue: string, max: number): Promise<readonly string[]> {
    return this.#reading(() =>
      this.#db.prepare(symbolsQuery(table)).all(venue, max).map(({ symbol }) => symbol as string)
    );
  }

  // deno-lint-ignore require-await
  async partitions(table: HotTable): Promise<readonly number[]> {
    const query = `select distinct "partition" from ${table}`;
    const rows = guarded(this.#path, "read partitions of hot store", () => this.#db.prepare(query).all());
    return rows.map(({ partition }) => partition as number);
  }

  close(): Promise<void> {
    if (this.#db.isOpen) this.#db.close();
    return Promise.resolve();
  }

  #reading<T>(work: () => T): T {
    return guarded(this.#path, "read hot store", work);
  }

  async *#chunks(query: string, cells: readonly Cell[]): AsyncGenerator<readonly Row[]> {
    const statement = this.#reading(() => this.#db.prepare(query));
    statement.setReturnArrays(true);
    const rows = statement.iterate(...cells) as unknown as IterableIterator<Row>;
    try {
      const next = (): readonly Row[] => this.#reading(() => take(rows));
      for (let chunk = next(); chunk.length > 0; chunk = next()) yield chunk;
    } finally {
      rows.return?.();
    }
  }

  #standing({ sink, topic, partition }: Place): Holding | null {
    const row = this.#db.prepare(
      "select * from sink_offsets where (sink, topic, partition) = (?, ?, ?)",
    ).get(sink, topic, partition);
    return row === undefined ? null : holdingOf(row);
  }

  /** @throws {Refusal} when a row does not have the table's width, since cells would slide into the next row */
  #insert(table: HotTable, rows: readonly Row[]): void {
    const width = HOT_TABLES[table].length;
    for (let from = 0; from < rows.length; from += INSERT_ROWS) {
      const some = rows.slice(from, from + INSERT_ROWS);
      // A column that is null in all of them is left out: half of a quote's columns mostly are.
      let given = 0;
      for (const row of some) {
        if (row.length !== width) {
          throw new Refusal(
            `Cannot store row of "${table}", origin ${row[1]}: has ${row.length} cells, must have ${width}`,
          );
        }
        for (let c = 0; c < width; c++) if (row[c] !== null) given |= 1 << c;
      }
      const cells: Cell[] = [];
      for (const row of some) for (let c = 0; c < width; c++) if ((given >> c & 1) === 1) cells.push(row[c]!);
      this.#insertOf(table, given, some.length).run(...cells);
    }
  }

  /** The statement for some rows whose `given` columns, a bit each, are not all null. */
  #insertOf(table: HotTable, given: number, rows: number): StatementSync {
    const name = `${table} ${given} ${rows}`;
    let statement = this.#inserts.get(name);
    if (statement === undefined) {
      const columns = HOT_TABLES[table].filter((_, c) => (given >> c & 1) === 1);
      const row = `(${columns.map(() => "?").join(", ")})`;
      // OR FAIL: the transaction is rolled back whole anyway, and a statement that need not undo itself keeps no journal
      // of every index page it touches (440k rows/s against 265k).
      statement = this.#db.prepare(
        `insert or fail into ${table} (${columnList(columns)}) values ${Array(rows).fill(row).join(", ")}`,
      );
      if (this.#inserts.size >= INSERTS_MAX) this.#inserts.clear();
      this.#inserts.set(name, statement);
    }
    return statement;
  }

  #zonesOf(table: HotTable): ZoneMap {
    const kept = this.#zones.get(table);
    if (kept !== undefined) return kept;
    const ends = this.#db.prepare(
      `select (select min(rowid) from ${table}) low, (select max(rowid) from ${table}) high`,
    );
    const zone = this.#db.prepare(
      `select "partition", min(origin) first, max(origin) last from ${table} where rowid >= ? and rowid < ? group by 1`,
    );
    const made = new ZoneMap({
      ends() {
        const { low, high } = ends.get()!;
        return low === null ? null : { low: low as number, high: high as number };
      },
      zone: ({ low, high }) => zone.all(low, high) as { partition: number; first: number; last: number }[],
    });
    this.#zones.set(table, made);
    return made;
  }

  /**
   * Runs `work` in a transaction of its own; IMMEDIATE, so that what it reads cannot change before it writes. One that
   * finds no room is rolled back and done again.
   */
  #transact<T>(verb: string, work: () => T): Promise<T> {
    const judge = (error: unknown) => findingOf(this.#path, `${verb} in hot store`, error);
    return new Patience("sqlite", this.#world, judge).persist(() => transaction(this.#db, work));
  }
}

const PLACE_COLUMNS = "sink, topic, partition, identity, epoch, next_off, origin, since";

function holdingOf(row: Record<string, unknown>): Holding {
  const { next_off: next, updated_at: committed, ...rest } = row;
  return { ...rest, next, ...(typeof committed === "number" ? { committed } : {}) } as Holding;
}

const GAP_COLUMNS = "sink, topic, partition, first_off, last_off, given_up";

function gapOf(row: Record<string, unknown>): Gap {
  const { first_off: first, last_off: last, given_up: at, ...place } = row;
  return { ...place, first, last, at } as Gap;
}

/** The next rows of a reader, at most a chunk of them. */
function take(rows: IterableIterator<Row>): readonly Row[] {
  const chunk: Row[] = [];
  while (chunk.length < CHUNK_ROWS) {
    const { done, value } = rows.next();
    if (done) break;
    chunk.push(value);
  }
  return chunk;
}

/**
 * Checks whose file it is before anything is written to it, then brings its schema up to date, unless it is but looked at;
 * gives the schema's version.
 */
function prepareFile(db: DatabaseSync, path: string, isLooking: boolean): number {
  const pragma = (name: string): number => Object.values(db.prepare(`pragma ${name}`).get()!)[0] as number;
  const foreign = (): boolean =>
    pragma("application_id") !== APPLICATION_ID &&
    (pragma("application_id") !== 0 || pragma("user_version") !== 0 || pragma("schema_version") !== 0);
  if (foreign()) {
    throw new Refusal(
      `Cannot open hot store "${path}": another program made this database, must be a hot store or not exist`,
    );
  }
  const migrations = migrationsOf("sqlite");
  assertKnown(path, pragma("user_version"), "sqlite");
  if (isLooking) return pragma("user_version");
  db.exec("pragma journal_mode = wal; pragma synchronous = full");
  // 64 MiB keep the warm end of every symbol's index in memory; a checkpoint every 16 MiB writes each page less often.
  db.exec("pragma cache_size = -65536; pragma wal_autocheckpoint = 4000");
  if (pragma("user_version") === migrations.length) return migrations.length;
  transaction(db, () => {
    // Asked again: another process may have been faster.
    for (const migration of migrations.slice(pragma("user_version"))) db.exec(migration);
    db.exec(`pragma application_id = ${APPLICATION_ID}; pragma user_version = ${migrations.length}`);
  });
  return migrations.length;
}

function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec("begin immediate");
  try {
    const result = work();
    db.exec("commit");
    return result;
  } catch (error) {
    if (db.isTransaction) db.exec("rollback");
    throw error;
  }
}

/** What SQLite or the disk objects to, in one line. */
function findingOf(path: string, verb: string, error: unknown): Finding {
  if (error instanceof Misuse || error instanceof Refusal) return { error, passes: false };
  const reason = reasonOf(error);
  const says = (state: string): string => `Cannot ${verb} "${path}": ${state}`;
  const atOnce = (error: unknown): Finding => ({ error, passes: false });
  // By its words, since not every error of the driver has SQLite's code. The transaction is known not to be there.
  if (/disk is full/.test(reason)) {
    return { error: new Outage(says(`${reason}, must have room`), { cause: error }), passes: true };
  }
  if (/not a database|malformed/.test(reason)) return atOnce(new Refusal(says(`${reason}, must be a SQLite database`)));
  if (/locked|busy/.test(reason)) {
    return atOnce(new Outage(says("another program keeps it locked, must be free to write")));
  }
  if (/readonly|unable to open|EACCES|EPERM|EROFS|ENOENT|ENOTDIR|EEXIST|EISDIR|denied/i.test(reason)) {
    return atOnce(new Misuse(says(`${reason}, must lie where it may be written`)));
  }
  // A failed sync among them: only who opens the file anew learns what it holds.
  if (/disk I\/O/.test(reason)) return atOnce(new Outage(says(`${reason}, must be on a disk that works`)));
  if (/constraint failed|cannot store|datatype/.test(reason)) {
    return atOnce(new Refusal(says(`${reason}, must be a row that the tables take`)));
  }
  return ofDisk(`${verb} "${path}"`, error);
}

function guarded<T>(path: string, verb: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw findingOf(path, verb, error).error;
  }
}
