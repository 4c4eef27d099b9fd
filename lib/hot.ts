/**
 * The door to the hot store: the tables of `lib/table.ts` and `rejected`, ready for "this symbol, this time range".
 * Residents: `hot/memory`, `sqlite`, `postgres`; the URL's scheme is the file's name.
 *
 * Promise: rows and the place's offset change in one transaction, guarded by the epoch; decimals come back exact.
 * **Knows** `fence`, `table`, `transport`, `failure`.
 */
import { Fenced, Misuse, Refusal } from "./failure.ts";
import type { Holding, Place, Store } from "./fence.ts";
import { type Recall, type Row, TABLE_NAMES, type TableName } from "./table.ts";
import { TOPICS } from "./transport.ts";
import type { World } from "./world.ts";

export type HotTable = TableName | "rejected";

/** One transaction: the rows of the records from offset `from` up to `next`. */
export interface Commit {
  /** What `acquire` or the last `apply` gave: place, epoch, and the offset that the store must stand at. */
  readonly held: Holding;
  /** Offset to stand at afterwards. */
  readonly next: number;
  /** Last origin applied afterwards. */
  readonly origin: number;
  readonly rows: Readonly<Partial<Record<HotTable, readonly Row[]>>>;
}

/** The tables that the messages of a topic go to. */
export const tablesOf = (topic: string): readonly HotTable[] => topic === TOPICS.rejected ? ["rejected"] : TABLE_NAMES;

export interface Hot extends Store, Recall {
  /**
   * Applies rows and moves the offset, both or neither, and gives the new holding. An outcome lost with its connection
   * is looked up, never assumed.
   * @throws {Fenced} when another owner has raised the epoch
   * @throws {Refusal} when the offset is not where it was, or a row is none that the table takes
   */
  apply(commit: Commit): Promise<Holding>;
  /** Rows of a table and partition with `from <= origin < to`, in the order of their origin, a chunk at a time. */
  rows(table: HotTable, partition: number, from: number, to: number): AsyncIterable<readonly Row[]>;
  /**
   * Rows of a table with `from <= event time < to`, µs, whoever told them, of one symbol or of all, a chunk at a time in
   * whatever order they lie.
   */
  dated(table: TableName, from: number, to: number, symbol: string | null): AsyncIterable<readonly Row[]>;
  /** Every partition that a table has rows of, whoever put them there. */
  partitions(table: HotTable): Promise<readonly number[]>;
  /** What the store's own clock says, ms since the epoch; absent where it has none. */
  clock?(): Promise<number>;
  /** Version of the store's schema; 0 where nobody has made it yet, which only who looks gets to see. Absent where it has none. */
  readonly version?: number;
  /** A query that the user can paste to look at the data. */
  readonly tryThis: string;
}

/**
 * What every resident asks inside its transaction, before it changes anything.
 * @throws {Fenced} when another owner has raised the epoch
 * @throws {Refusal} unless `stands`, what the store holds now, is what the commit was made for
 */
export function assertStands({ held, next }: Commit, stands: Holding | null): asserts stands is Holding {
  const what = `Cannot apply offsets ${held.next} to ${next - 1} of "${held.topic}/${held.partition}"`;
  if (stands === null) throw new Refusal(`${what}: the store knows nothing of the place, must have been begun`);
  if (stands.epoch !== held.epoch) {
    throw new Fenced(
      `${what}: ${held.sink} with epoch ${stands.epoch} holds it since ${
        new Date(stands.since).toISOString()
      } and this one has epoch ${held.epoch}, must hold the newest`,
    );
  }
  if (stands.next !== held.next) {
    throw new Refusal(`${what}: the store stands at ${stands.next}, must stand at ${held.next}`);
  }
}

/** The refusal of every resident to begin a place of which a table has rows: from the start they would all be there twice. */
export function unaccounted({ sink, topic, partition }: Place, table: HotTable): Refusal {
  return new Refusal(
    `Cannot begin place "${sink}/${topic}/${partition}": table "${table}" has rows of partition ${partition} and the store has lost how far they were applied, must have both, as its backup has, or neither (another --hot, or --fresh)`,
  );
}

/** Opens the resident that the URL's scheme names and brings its schema up to date. @throws {Misuse} unknown scheme */
export async function openHot(url: string, world: World): Promise<Hot> {
  const scheme = url.slice(0, url.indexOf(":"));
  if (!SCHEMES.includes(scheme)) {
    throw new Misuse(`Cannot open hot store "${scheme}:": scheme is unknown, must be one of ${SCHEMES.join(", ")}`);
  }
  const resident: { open(url: string, world: World): Promise<Hot> } = await import(`./hot/${scheme}.ts`);
  return await resident.open(url, world);
}
const SCHEMES = ["sqlite", "postgres", "memory"];
