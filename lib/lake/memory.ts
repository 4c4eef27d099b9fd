/**
 * The lake in this process: `memory:<name>`. The same name is the same lake, for as long as the process lives. What the
 * other resident keeps as files and ledger lines it keeps as lists; a range is committed whole, guarded by the epoch.
 *
 * **In** rows, **Out** rows. **Knows** `lake`, `fence`, `table`, `failure`, `world`.
 */
import { Misuse, Refusal } from "../failure.ts";
import type { Gap, Holding, Place } from "../fence.ts";
import { type Damage, type Lake, type LakeFile, RisingSheet, type Sheet, type Unit } from "../lake.ts";
import { encodeRow, type Row, type TableName } from "../table.ts";
import type { World } from "../world.ts";

/** What one place holds. */
interface Shelf {
  holding: Holding;
  intent: { readonly first: number; readonly last: number } | null;
  readonly units: Unit[];
  readonly gaps: Gap[];
}
interface Store {
  readonly shelves: Map<string, Shelf>;
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
  const store = stores.get(name) ?? { shelves: new Map(), rows: new Map() };
  stores.set(name, store);
  return Promise.resolve(new MemoryLake(store, url, world));
}

class MemoryLake implements Lake {
  readonly root: string;
  readonly tryThis: string;
  readonly #store: Store;
  readonly #world: World;

  constructor(store: Store, url: string, world: World) {
    this.#store = store;
    this.#world = world;
    this.root = url;
    this.tryThis = `(await openLake("${url}", world)).units()`;
  }

  acquire(place: Place): Promise<Holding | null> {
    const shelf = this.#store.shelves.get(nameOf(place));
    if (shelf === undefined) return Promise.resolve(null);
    shelf.holding = { ...shelf.holding, epoch: shelf.holding.epoch + 1, since: this.#world.now() };
    return Promise.resolve(shelf.holding);
  }

  // async, so that a refusal rejects as it does in the resident that waits for a disk.
  // deno-lint-ignore require-await
  async begin({ sink, topic, partition }: Place, identity: string, next: number): Promise<Holding> {
    const holding = { sink, topic, partition, identity, epoch: 1, next, origin: -1, since: this.#world.now() };
    const name = nameOf(holding);
    if (this.#store.shelves.has(name)) {
      throw new Refusal(`Cannot begin "${name}": the lake holds it already, must be acquired`);
    }
    this.#store.shelves.set(name, { holding, intent: null, units: [], gaps: [] });
    return holding;
  }

  // deno-lint-ignore require-await
  async skip(held: Holding, next: number): Promise<Holding> {
    const shelf = this.#shelfOf(held);
    const { sink, topic, partition } = held;
    shelf.gaps.push({ sink, topic, partition, first: held.next, last: next - 1, at: this.#world.now() });
    shelf.intent = null;
    return shelf.holding = { ...shelf.holding, next };
  }

  gaps(): Promise<readonly Gap[]> {
    return Promise.resolve([...this.#store.shelves.values()].flatMap(({ gaps }) => gaps));
  }

  holdings(): Promise<readonly Holding[]> {
    return Promise.resolve([...this.#store.shelves.values()].map(({ holding }) => holding));
  }

  // deno-lint-ignore require-await
  async intend(held: Holding, first: number, last: number): Promise<void> {
    this.#shelfOf(held).intent = { first, last };
  }

  intended(held: Holding): { readonly first: number; readonly last: number } | null {
    return this.#shelfOf(held).intent;
  }

  sheet(held: Holding): Sheet {
    return new RowSheet(held);
  }

  // deno-lint-ignore require-await
  async publish(held: Holding, sheet: Sheet, next: number): Promise<Holding> {
    const shelf = this.#shelfOf(held);
    const name = nameOf(held);
    if (!(sheet instanceof RowSheet) || sheet.place !== name) {
      throw new Misuse(`Cannot publish "${name}": the sheet is of another place, must be one that it gave`);
    }
    const { intent } = shelf;
    if (intent !== null && (sheet.first !== intent.first || sheet.last !== intent.last)) {
      throw new Refusal(
        `Cannot publish "${name}": origins ${intent.first} to ${intent.last} were intended, must be that range`,
      );
    }
    if (sheet.rows > 0) {
      const { topic, partition } = held;
      const { first, last } = sheet;
      const files = this.#keep(name, sheet);
      shelf.units.push({ topic, partition, first, last, from: shelf.units.at(-1)?.next ?? 0, next, files });
      shelf.intent = null;
    }
    shelf.holding = { ...shelf.holding, next, origin: Math.max(shelf.holding.origin, sheet.last) };
    return shelf.holding;
  }

  #keep(name: string, sheet: RowSheet): LakeFile[] {
    return [...sheet.files].map(([key, rows]) => {
      const [table, date] = key.split(" ") as [TableName, string];
      const path = `${table}/date=${date}/${name}-${sheet.first}-${sheet.last}`;
      this.#store.rows.set(path, rows);
      return { table, date, path, rows: rows.length, bytes: rows.map(encodeRow).join("").length, sha256: "" };
    });
  }

  release(): Promise<void> {
    return Promise.resolve();
  }

  units(): Promise<readonly Unit[]> {
    return Promise.resolve([...this.#store.shelves.values()].flatMap(({ units }) => units));
  }

  // deno-lint-ignore require-await
  async rows(file: LakeFile): Promise<readonly Row[]> {
    const rows = this.#store.rows.get(file.path);
    if (rows !== undefined) return rows;
    throw new Refusal(`Cannot read file "${file.path}": the lake has none of that name, must be one of its units`);
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
    return Promise.resolve();
  }

  /** @throws {Refusal} when the holding is not what the lake holds */
  #shelfOf(held: Holding): Shelf {
    const shelf = this.#store.shelves.get(nameOf(held));
    const now = shelf?.holding;
    if (shelf !== undefined && now?.epoch === held.epoch && now.next === held.next && now.origin === held.origin) {
      return shelf;
    }
    const state = now === undefined
      ? "it is not in hand"
      : `epoch ${now.epoch} holds it since ${new Date(now.since).toISOString()} and stands at ${now.next}`;
    throw new Refusal(
      `Cannot write "${nameOf(held)}" at epoch ${held.epoch} from ${held.next}: ${state}, must be as it was acquired`,
    );
  }
}

class RowSheet extends RisingSheet {
  /** Rows by table and date. */
  readonly files = new Map<string, Row[]>();

  constructor(held: Holding) {
    super(held, nameOf(held));
  }

  protected override put(table: TableName, date: string, row: Row): number {
    const key = `${table} ${date}`;
    const list = this.files.get(key);
    if (list === undefined) this.files.set(key, [row]);
    else list.push(row);
    return encodeRow(row).length;
  }
}

function nameOf({ topic, partition }: Place): string {
  return `${topic}-${partition}`;
}
