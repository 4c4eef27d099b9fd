/**
 * The lake in this process: `memory:<name>`. The same name is the same lake, for as long as the process lives. What the
 * other resident keeps as files and lines of a ledger it keeps as lists and the account that such lines come to.
 *
 * **In** rows, **Out** rows. **Knows** `lake`, `account`, `fence`, `table`, `failure`, `world`.
 */
import { Misuse, Refusal } from "../failure.ts";
import type { Gap, Holding, Place } from "../fence.ts";
import { type Damage, type Lake, type LakeFile, type Published, RisingSheet, type Sheet, type Unit } from "../lake.ts";
import { encodeRow, type Instrument, latestIn, type Row, TABLE_NAMES, type TableName, toldIn } from "../table.ts";
import type { World } from "../world.ts";
import { type Account, EMPTY, faultOf, follow, FORMAT, type Line, unitsOf } from "./file/account.ts";
import { nameOf, pathOf } from "./file/disk.ts";

interface Store {
  /** What the ledger of each place would come to, by the place's name. */
  readonly accounts: Map<string, Account>;
  /** Rows by the path of their file. */
  readonly rows: Map<string, readonly Row[]>;
}
const stores = new Map<string, Store>();

/** Opens the lake of that name. @throws {Misuse} without a name */
export function open(url: string, world: World): Promise<Lake> {
  const name = url.slice("memory:".length);
  if (name === "") {
    return Promise.reject(new Misuse(`Cannot open lake "${url}": has no name, must be memory:NAME`));
  }
  const store = stores.get(name) ?? { accounts: new Map(), rows: new Map() };
  stores.set(name, store);
  return Promise.resolve(new MemoryLake(store, url, world));
}

class MemoryLake implements Lake {
  readonly root: string;
  readonly tryThis: string;
  readonly #store: Store;
  readonly #world: World;
  /** Names of the places that were acquired and not released. */
  readonly #inHand = new Set<string>();

  constructor(store: Store, url: string, world: World) {
    this.#store = store;
    this.#world = world;
    this.root = url;
    this.tryThis = `(await openLake("${url}", world)).units()`;
  }

  // async, so that a refusal rejects as it does in the resident that waits for a disk.
  // deno-lint-ignore require-await
  async acquire(place: Place): Promise<Holding | null> {
    const name = nameOf(place);
    const { holding } = this.#accountOf(name);
    if (holding === null) return null;
    if (holding.sink !== place.sink) {
      throw new Refusal(
        `Cannot acquire "${name}" for ${place.sink}: the lake has it from ${holding.sink}, must be that`,
      );
    }
    return this.#own({ ...holding, epoch: holding.epoch + 1 });
  }

  // deno-lint-ignore require-await
  async begin({ sink, topic, partition }: Place, identity: string, next: number): Promise<Holding> {
    const holding = { sink, topic, partition, identity, epoch: 1, next, origin: -1, since: 0 };
    const name = nameOf(holding);
    if (this.#accountOf(name).holding !== null) {
      throw new Refusal(`Cannot begin "${name}": the lake holds it already, must be acquired`);
    }
    return this.#own(holding);
  }

  #own(holding: Holding): Holding {
    const name = nameOf(holding);
    const held = this.#append(name, {
      ...{ kind: "owner", format: FORMAT, ...holding, since: this.#world.now(), pid: 0 },
    });
    this.#inHand.add(name);
    return held;
  }

  // deno-lint-ignore require-await
  async skip(held: Holding, next: number): Promise<Holding> {
    this.#assertHeld(held);
    return this.#append(nameOf(held), { kind: "gap", epoch: held.epoch, next, at: this.#world.now() });
  }

  gaps(): Promise<readonly Gap[]> {
    return Promise.resolve([...this.#store.accounts.values()].flatMap(({ gaps }) => gaps));
  }

  holdings(): Promise<readonly Holding[]> {
    return Promise.resolve([...this.#store.accounts.values()].flatMap(({ holding }) => holding ?? []));
  }

  // deno-lint-ignore require-await
  async intend(held: Holding, first: number, last: number): Promise<void> {
    this.#assertHeld(held);
    this.#append(nameOf(held), { kind: "intent", epoch: held.epoch, first, last });
  }

  intended(held: Holding): { readonly first: number; readonly last: number } | null {
    this.#assertHeld(held);
    return this.#accountOf(nameOf(held)).intent;
  }

  sheet(held: Holding): Sheet {
    return new RowSheet(held);
  }

  // deno-lint-ignore require-await
  async publish(held: Holding, sheet: Sheet, next: number): Promise<Published> {
    this.#assertHeld(held);
    const name = nameOf(held);
    if (!(sheet instanceof RowSheet) || sheet.place !== name) {
      throw new Misuse(`Cannot publish "${name}": the sheet is of another place, must be one that it gave`);
    }
    if (sheet.rows === 0 && next === held.next) return { held, files: [] };
    const { first, last } = sheet;
    const kept = [...sheet.files(name)];
    const files = kept.map(({ file }) => file);
    const after = this.#append(name, { kind: "unit", epoch: held.epoch, first, last, next, engine: "", files });
    for (const { file, rows } of kept) this.#store.rows.set(file.path, rows);
    return { held: after, files };
  }

  release(held: Holding): Promise<void> {
    this.#inHand.delete(nameOf(held));
    return Promise.resolve();
  }

  units(): Promise<readonly Unit[]> {
    return Promise.resolve([...this.#store.accounts.values()].flatMap(unitsOf));
  }

  // deno-lint-ignore require-await
  async rows(file: LakeFile): Promise<readonly Row[]> {
    const rows = this.#store.rows.get(file.path);
    if (rows !== undefined) return rows;
    throw new Refusal(`Cannot read file "${file.path}": the lake has none of that name, must be one of its units`);
  }

  async *told(
    table: TableName,
    instrument: Instrument,
    from: number,
    to: number,
  ): AsyncGenerator<readonly Row[]> {
    for (const rows of this.#rowsOf(table)) {
      const some = toldIn(rows, instrument, from, to);
      if (some.length > 0) yield some;
    }
  }

  lastTold(table: TableName, instrument: Instrument, to: number, before: number): Promise<Row | null> {
    return Promise.resolve(latestIn(toldIn(this.#rowsOf(table).flat(), instrument, 0, to), before));
  }

  symbols(table: TableName, venue: string, max: number): Promise<readonly string[]> {
    const symbols = this.#rowsOf(table).flat().filter((row) => row[2] === venue).map((row) => row[3] as string);
    return Promise.resolve([...new Set(symbols)].sort().slice(0, max));
  }

  mend({ path }: LakeFile): Promise<string | null> {
    return Promise.reject(
      new Misuse(`Cannot write "${path}" again: this lake is in memory and cannot be damaged, must be file:<folder>`),
    );
  }

  damages(): Promise<readonly Damage[]> {
    return Promise.resolve([]);
  }

  /** Nothing is locked here: a place is whose epoch it is. */
  isOwned(): Promise<boolean> {
    return Promise.resolve(false);
  }

  close(): Promise<void> {
    this.#inHand.clear();
    return Promise.resolve();
  }

  /** A table's rows unit by unit, in the order of their origins. */
  #rowsOf(table: TableName): Row[][] {
    return [...this.#store.accounts.values()].flatMap(unitsOf).map(({ files }) =>
      files.filter((file) => file.table === table).flatMap(({ path }) => this.#store.rows.get(path) ?? [])
        .sort((a, b) => (a[1] as number) - (b[1] as number))
    );
  }

  #accountOf(name: string): Account {
    return this.#store.accounts.get(name) ?? { ...EMPTY, units: [] };
  }

  /** The other resident's ledger without its file: the same lines may follow. */
  #append(name: string, line: Line): Holding {
    const account = this.#accountOf(name);
    const fault = faultOf(account, line);
    if (fault !== null) {
      throw new Refusal(`Cannot write "${name}": ${fault.detail}, must be a range and epoch that follow`);
    }
    const after = follow(account, line);
    this.#store.accounts.set(name, after);
    return after.holding!;
  }

  /** @throws {Refusal} when the holding is not what the lake holds */
  #assertHeld(held: Holding): void {
    const name = nameOf(held);
    const now = this.#inHand.has(name) ? this.#accountOf(name).holding : null;
    if (now !== null && now.epoch === held.epoch && now.next === held.next && now.origin === held.origin) return;
    const state = now === null
      ? "it is not in hand"
      : `epoch ${now.epoch} holds it since ${new Date(now.since).toISOString()} and stands at ${now.next}`;
    throw new Refusal(
      `Cannot write "${name}" at epoch ${held.epoch} from ${held.next}: ${state}, must be as it was acquired`,
    );
  }
}

class RowSheet extends RisingSheet {
  readonly #tables = new Map<TableName, Map<string, Row[]>>();

  constructor(held: Holding) {
    super(held, nameOf(held));
  }

  protected override put(table: TableName, date: string, row: Row): number {
    let days = this.#tables.get(table);
    if (days === undefined) this.#tables.set(table, days = new Map());
    const list = days.get(date);
    if (list === undefined) days.set(date, [row]);
    else list.push(row);
    return encodeRow(row).length;
  }

  /** The files to be, in the order of tables and dates. */
  *files(name: string): Iterable<{ readonly file: LakeFile; readonly rows: readonly Row[] }> {
    for (const table of TABLE_NAMES) {
      for (const [date, rows] of [...this.#tables.get(table) ?? []].sort()) {
        const path = pathOf(table, date, name, this.first, this.last);
        const bytes = rows.reduce((sum, row) => sum + encodeRow(row).length, 0);
        yield { file: { table, date, path, rows: rows.length, bytes, sha256: "" }, rows };
      }
    }
  }
}
