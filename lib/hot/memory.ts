/**
 * The hot store in this process: `memory:<name>`. The same name is the same store, for as long as the process lives.
 *
 * **In** rows, **Out** rows, in the order of their origin.
 * **Knows** `hot`, `schema`, `fence`, `failure`.
 */
import { Misuse, Refusal } from "../failure.ts";
import type { Gap, Holding, Place } from "../fence.ts";
import { assertStands, type Commit, type Hot, type HotTable, tablesOf, unaccounted } from "../hot.ts";
import { faultOf, HOT_TABLES } from "../schema.ts";
import { type Instrument, latestIn, type Row, type TableName, toldIn } from "../table.ts";
import type { World } from "../world.ts";

const CHUNK_ROWS = 10_000;

interface Shelf {
  /** Rows of one table and partition, as they were applied. */
  readonly rows: Map<string, Row[]>;
  readonly holdings: Map<string, Holding>;
  readonly gaps: Gap[];
}
const shelves = new Map<string, Shelf>();

/** Opens the store of that name. @throws {Misuse} without a name */
export function open(url: string, world: World): Promise<Hot> {
  const name = url.slice("memory:".length);
  if (name === "") {
    return Promise.reject(new Misuse(`Cannot open hot store "${url}": has no name, must be memory:NAME`));
  }
  const shelf = shelves.get(name) ?? { rows: new Map(), holdings: new Map(), gaps: [] };
  shelves.set(name, shelf);
  return Promise.resolve(new MemoryHot(shelf, name, world));
}

class MemoryHot implements Hot {
  readonly tryThis: string;
  readonly #shelf: Shelf;
  readonly #world: World;

  constructor(shelf: Shelf, name: string, world: World) {
    this.#shelf = shelf;
    this.#world = world;
    this.tryThis = `(await openHot("memory:${name}", world)).rows("trades", 0, 0, 5)`;
  }

  acquire(place: Place): Promise<Holding | null> {
    const held = this.#shelf.holdings.get(keyOf(place));
    if (held === undefined) return Promise.resolve(null);
    return Promise.resolve(this.#hold({ ...held, epoch: held.epoch + 1, since: this.#world.now() }));
  }

  begin({ sink, topic, partition }: Place, identity: string, next: number): Promise<Holding> {
    const held = { sink, topic, partition, identity, epoch: 1, next, origin: -1, since: this.#world.now() };
    if (this.#shelf.holdings.has(keyOf(held))) {
      return Promise.reject(new Refusal(`Cannot begin place "${keyOf(held)}": it was begun already, must be acquired`));
    }
    const table = tablesOf(topic).find((table) => this.#shelf.rows.has(`${table}/${partition}`));
    if (table !== undefined) return Promise.reject(unaccounted(held, table));
    return Promise.resolve(this.#hold(held));
  }

  // deno-lint-ignore require-await
  async skip(held: Holding, next: number): Promise<Holding> {
    const stands = this.#shelf.holdings.get(keyOf(held)) ?? null;
    assertStands({ held, next, origin: held.origin, rows: {} }, stands);
    const { sink, topic, partition } = held;
    this.#shelf.gaps.push({ sink, topic, partition, first: held.next, last: next - 1, at: this.#world.now() });
    return this.#hold({ ...stands, next, committed: this.#world.now() });
  }

  gaps(): Promise<readonly Gap[]> {
    return Promise.resolve([...this.#shelf.gaps]);
  }

  holdings(): Promise<readonly Holding[]> {
    return Promise.resolve([...this.#shelf.holdings.values()]);
  }

  // async, so that a refusal rejects as it does in the residents that wait for a disk or a server.
  // deno-lint-ignore require-await
  async apply(commit: Commit): Promise<Holding> {
    const stands = this.#shelf.holdings.get(keyOf(commit.held)) ?? null;
    assertStands(commit, stands);
    const tables = Object.entries(commit.rows) as [HotTable, readonly Row[]][];
    for (const [table, rows] of tables) {
      for (const row of rows) {
        const fault = faultOf(HOT_TABLES[table], row);
        if (fault !== null) throw new Refusal(`Cannot store row of "${table}", origin ${row[1]}: it ${fault}`);
      }
    }
    for (const [table, rows] of tables) {
      for (const row of rows) {
        const key = `${table}/${row[0]}`;
        const kept = this.#shelf.rows.get(key) ?? [];
        this.#shelf.rows.set(key, kept);
        kept.push([...row]);
      }
    }
    return this.#hold({ ...stands, next: commit.next, origin: commit.origin, committed: this.#world.now() });
  }

  async *rows(table: HotTable, partition: number, from: number, to: number): AsyncGenerator<readonly Row[]> {
    let chunk: Row[] = [];
    for (const row of this.#shelf.rows.get(`${table}/${partition}`) ?? []) {
      const origin = row[1] as number;
      if (origin >= from && origin < to) chunk.push([...row]);
      if (chunk.length < CHUNK_ROWS) continue;
      yield chunk;
      chunk = [];
    }
    if (chunk.length > 0) yield chunk;
  }

  partitions(table: HotTable): Promise<readonly number[]> {
    const held = [...this.#shelf.rows.keys()].map((key) => key.split("/"));
    return Promise.resolve(held.filter(([name]) => name === table).map(([, partition]) => Number(partition)));
  }

  async *told(
    table: TableName,
    instrument: Instrument,
    from: number,
    to: number,
  ): AsyncGenerator<readonly Row[]> {
    const rows = toldIn(this.#rowsOf(table), instrument, from, to);
    for (let i = 0; i < rows.length; i += CHUNK_ROWS) yield rows.slice(i, i + CHUNK_ROWS);
  }

  async *dated(table: TableName, from: number, to: number, symbol: string | null): AsyncGenerator<readonly Row[]> {
    const rows = this.#rowsOf(table).filter((row) => {
      const time = row[4] as number;
      return time >= from && time < to && (symbol === null || row[3] === symbol);
    });
    for (let i = 0; i < rows.length; i += CHUNK_ROWS) yield rows.slice(i, i + CHUNK_ROWS);
  }

  lastTold(table: TableName, instrument: Instrument, to: number, before: number): Promise<Row | null> {
    return Promise.resolve(latestIn(toldIn(this.#rowsOf(table), instrument, 0, to), before));
  }

  symbols(table: TableName, venue: string, max: number): Promise<readonly string[]> {
    const symbols = this.#rowsOf(table).filter((row) => row[2] === venue).map((row) => row[3] as string);
    return Promise.resolve([...new Set(symbols)].sort().slice(0, max));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Copies of a table's rows, partition by partition. */
  #rowsOf(table: TableName): Row[] {
    const shelves = [...this.#shelf.rows].filter(([key]) => key.startsWith(`${table}/`));
    return shelves.flatMap(([, rows]) => rows.map((row) => [...row]));
  }

  #hold(held: Holding): Holding {
    this.#shelf.holdings.set(keyOf(held), held);
    return held;
  }
}

function keyOf({ sink, topic, partition }: Place): string {
  return `${sink}/${topic}/${partition}`;
}
