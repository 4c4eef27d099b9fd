/**
 * The lake in a folder: `<table>/date=<day>/<topic>-<partition>-<first>-<last>.parquet`, ledgers and locks in `_ledger/`,
 * files in the making in `_tmp/`.
 *
 * One host: an advisory lock per partition keeps a second owner out for as long as the first lives. A unit's files are
 * linked, and all is synced, before the one ledger line that makes them exist. Acquiring removes temporary files that a
 * crash left, and sets the one unit aside that was linked and not committed; anything else unnamed is damage.
 * **In** `file:<folder>`, **Out** a `Lake`. **Knows** `lake`, `parquet`, `fence`, `table`, `folder`, `patience`,
 * `failure`, `world`.
 */
import { Misuse, Outage, Refusal } from "../failure.ts";
import type { Gap, Holding, Place } from "../fence.ts";
import { syncFolder } from "../folder.ts";
import type { Damage, Lake, LakeFile, Published, Sheet, Unit } from "../lake.ts";
import { ENGINE, read, write } from "../parquet.ts";
import { ofDisk, Patience } from "../patience.ts";
import { type Instrument, type Row, type TableName, TABLES } from "../table.ts";
import type { World } from "../world.ts";
import { faultOf, FORMAT, unitsOf } from "./file/account.ts";
import { entriesOf, makeOwnFolder, nameOf, parse, pathOf, place, syncAbove, unlessMissing } from "./file/disk.ts";
import { bytesOf, Ledger, readLedger, sha256 } from "./file/ledger.ts";
import { lastTold, symbolsIn, told } from "./file/recall.ts";
import { restore } from "./file/mend.ts";
import { absorb, setAside } from "./file/quarantine.ts";
import { UnitSheet } from "./file/sheet.ts";
import { damagesOf, filesOf, ledgerPath, readLedgers, survey } from "./file/survey.ts";

/** Opens the lake in the URL's folder, which need not exist yet. @throws {Misuse} when the URL names none */
export function open(url: string, world: World): Promise<Lake> {
  const root = url.replace(/^file:(\/\/)?/, "").replace(/\/+$/, "");
  if (root === "") throw new Misuse(`Cannot open lake "${url}": names no folder, must be file:<folder>`);
  return Promise.resolve(new FileLake(root, world));
}

/** A place in hand. The ledger is opened anew by every acquire, the lock is kept until the place is released. */
interface Seat {
  readonly name: string;
  readonly lock: Deno.FsFile;
  readonly ledger: Ledger;
}

/** How long an owner may take to give a place up, once a group has given it to another; and how often is looked. */
const GIVE_WAY_MS = 10_000;
const PAUSE_MS = 50;

class FileLake implements Lake {
  readonly version = `format ${FORMAT}`;
  readonly root: string;
  readonly tryThis: string;
  readonly #world: World;
  readonly #seats = new Map<string, Seat>();
  #temporaries = 0;
  #isClosed = false;

  constructor(root: string, world: World) {
    this.root = root;
    this.#world = world;
    const glob = `'${root.replaceAll("'", "''")}/trades/*/*.parquet'`;
    this.tryThis = `SELECT date, symbol, count(*) AS trades, sum(size) AS size FROM read_parquet(${glob}, ` +
      `hive_partitioning=true) GROUP BY ALL ORDER BY ALL`;
  }

  async acquire(place: Place): Promise<Holding | null> {
    return await this.#persist(
      `acquire "${nameOf(place)}" of`,
      () => this.#take(place, (seat) => this.#resume(place, seat)),
    );
  }

  async #resume(place: Place, { name, ledger }: Seat): Promise<Holding | null> {
    const { holding, units } = ledger.account;
    if (holding === null) return null;
    if (holding.sink !== place.sink) {
      throw new Refusal(
        `Cannot acquire "${name}" for ${place.sink}: the lake has it from ${holding.sink}, must be that`,
      );
    }
    const last = units.at(-1);
    for (const damage of last === undefined ? [] : await damagesOf(this.root, last)) {
      throw new Refusal(
        `Cannot acquire "${name}": file "${damage.path}" is ${damage.kind}, must be as it was committed: deno task audit --repair writes it again`,
      );
    }
    await absorb(this.root, last?.files ?? []);
    await this.#clear(name, holding);
    return await this.#own(ledger, { ...holding, epoch: holding.epoch + 1 });
  }

  async begin(place: Place, identity: string, next: number): Promise<Holding> {
    return await this.#persist(
      `begin "${nameOf(place)}" of`,
      () => this.#take(place, (seat) => this.#create(place, seat, identity, next)),
    );
  }

  async #create(place: Place, { name, ledger }: Seat, identity: string, next: number): Promise<Holding> {
    if (ledger.account.holding !== null) {
      throw new Refusal(`Cannot begin "${name}": the lake holds it already, must be acquired`);
    }
    for (const path of await filesOf(this.root)) {
      if (parse(path)?.name === name) {
        throw new Refusal(
          `Cannot begin "${name}": file "${path}" lies there without a ledger, must be removed by hand`,
        );
      }
    }
    return await this.#own(ledger, { ...place, identity, next, epoch: 1, origin: -1, since: 0 });
  }

  async #own(ledger: Ledger, holding: Holding): Promise<Holding> {
    const { sink, topic, partition, identity, epoch, next, origin } = holding;
    const since = this.#world.now();
    const owner = { sink, topic, partition, identity, epoch, next, origin, since, pid: Deno.pid };
    await ledger.append({ kind: "owner", format: FORMAT, ...owner });
    return ledger.account.holding!;
  }

  /** Where there is no room: waits, and does the whole anew. */
  #persist<T>(action: string, act: () => Promise<T>): Promise<T> {
    const judge = (error: unknown) => ofDisk(`${action} lake "${this.root}"`, error);
    return new Patience("lake", this.#world, judge).persist(act);
  }

  /** Takes the partition's lock, unless it is ours already, and opens its ledger; gives the lock back where `use` fails. */
  async #take<T>(place: Place, use: (seat: Seat) => Promise<T>): Promise<T> {
    const name = nameOf(place);
    for (const folder of ["_tmp", "_ledger"]) await makeOwnFolder(this.root, folder);
    syncFolder(this.root);
    const path = ledgerPath(this.root, name);
    const lock = this.#seats.get(name)?.lock ?? await Deno.open(`${path}.lock`, { create: true, write: true });
    try {
      if (!this.#seats.has(name) && !await this.#locked(lock, name)) {
        const { holding, pid } = await readLedger(path);
        const since = holding === null ? "" : ` since ${new Date(holding.since).toISOString()}`;
        throw new Refusal(`Cannot acquire "${name}": process ${pid || "unknown"} holds it${since}, must be free`);
      }
      const seat = { name, lock, ledger: await Ledger.open(path, this.#world.report) };
      this.#seats.set(name, seat);
      return await use(seat);
    } catch (error) {
      this.#seats.delete(name);
      lock.close();
      throw error;
    }
  }

  /** Locks, waiting for an owner that was told to give way and has not yet; false when it does not. */
  async #locked(lock: Deno.FsFile, name: string): Promise<boolean> {
    const { now, report, retryForMs, trying } = this.#world;
    const until = now() + Math.min(retryForMs, GIVE_WAY_MS);
    for (let isFirst = true; !await lock.tryLock(true); isFirst = false) {
      if (trying === undefined || this.#isClosed || now() >= until) return false;
      if (trying.signal.aborted) {
        throw new Outage(
          `Cannot acquire "${name}": another process holds it, must be waited for and the stage is to stop`,
        );
      }
      if (isFirst) report(`waits for another process to give up ${name} of the lake`);
      await trying.pause(PAUSE_MS, trying.signal);
    }
    return true;
  }

  /** Clears away what a crash left of a partition. @throws {Refusal} when it is more than one crash can leave */
  async #clear(name: string, { origin }: Holding): Promise<void> {
    for await (const entry of entriesOf(`${this.root}/_tmp`)) {
      if (entry.isFile && entry.name.replace(/-\d+-\d+\.tmp$/, "") === name) {
        await Deno.remove(`${this.root}/_tmp/${entry.name}`);
      }
    }
    const left = (await filesOf(this.root)).filter((path) => {
      const file = parse(path);
      return file?.name === name && file.first > origin;
    });
    const ranges = new Set(left.map((path) => path.replace(/^.*\//, "")));
    if (ranges.size > 1) {
      throw new Refusal(
        `Cannot acquire "${name}": ${ranges.size} units lie beyond origin ${origin}, the last one of the ledger, must be at most one`,
      );
    }
    for (const path of left) await setAside(this.root, path, this.#world.now());
    if (left.length === 0) return;
    this.#world.report(`set ${left.length} files of a unit of ${name} aside that was not committed, in _quarantine`);
  }

  async intend(held: Holding, first: number, last: number): Promise<void> {
    await this.#persist(`bind a unit of "${nameOf(held)}" of`, async () => {
      const { ledger } = this.#seat(held);
      const { intent } = ledger.account;
      if (intent?.first === first && intent.last === last) return;
      await ledger.append({ kind: "intent", epoch: held.epoch, first, last });
    });
  }

  intended(held: Holding): { readonly first: number; readonly last: number } | null {
    return this.#seat(held).ledger.account.intent;
  }

  sheet(held: Holding): UnitSheet {
    return new UnitSheet(held);
  }

  async publish(held: Holding, sheet: Sheet, next: number): Promise<Published> {
    return await this.#persist(`publish "${nameOf(held)}" of`, () => this.#publish(held, sheet, next));
  }

  async #publish(held: Holding, sheet: Sheet, next: number): Promise<Published> {
    const { name, ledger } = this.#seat(held);
    if (!(sheet instanceof UnitSheet) || sheet.place !== name) {
      throw new Misuse(`Cannot publish "${name}": the sheet is of another place, must be one that it gave`);
    }
    if (sheet.rows === 0 && next === held.next) return { held, files: [] };
    const { epoch } = held;
    const { first, last } = sheet;
    const unit = { kind: "unit", epoch, first, last, next, engine: ENGINE } as const;
    // Judged before a file is written; a range that follows cannot have names that the ledger has already.
    const fault = faultOf(ledger.account, { ...unit, files: [] });
    if (fault !== null) {
      throw new Refusal(`Cannot publish "${name}": ${fault.detail}, must be a range that follows`);
    }
    // A line of a try before must not name files while they are replaced.
    await ledger.mend();
    const files: LakeFile[] = [];
    try {
      for (const { table, date, draft } of sheet.drafts()) {
        const bytes = await write(held.partition, draft);
        const path = pathOf(table, date, name, first, last);
        const giveWay = () => setAside(this.root, path, this.#world.now());
        await place(this.root, path, bytes, `_tmp/${name}-${epoch}-${++this.#temporaries}.tmp`, giveWay);
        files.push({ table, date, path, rows: draft.rows, bytes: bytes.length, sha256: sha256(bytes) });
      }
      await syncAbove(this.root, files.map((file) => file.path));
      await ledger.append({ ...unit, files });
    } catch (error) {
      // What the ledger does not name takes room from the next try; where it may name it, the next owner decides.
      if (ledger.isKnown) {
        for (const { path } of files) await Deno.remove(`${this.root}/${path}`).catch(unlessMissing);
      }
      throw error;
    }
    // It is committed by now; where this fails, the next owner does it.
    await absorb(this.root, files).catch(() => {});
    return { held: ledger.account.holding!, files };
  }

  /** The seat of a place in hand. @throws {Refusal} when the holding is not what the ledger says */
  #seat(held: Holding): Seat {
    const seat = this.#seats.get(nameOf(held));
    const now = seat?.ledger.account.holding;
    if (seat !== undefined && now?.epoch === held.epoch && now.next === held.next && now.origin === held.origin) {
      return seat;
    }
    const state = !now
      ? "it is not in hand"
      : `epoch ${now.epoch} holds it since ${new Date(now.since).toISOString()} and stands at ${now.next}`;
    throw new Refusal(
      `Cannot write "${nameOf(held)}" at epoch ${held.epoch} from ${held.next}: ${state}, must be as it was acquired`,
    );
  }

  async skip(held: Holding, next: number): Promise<Holding> {
    return await this.#persist(`give up records of "${nameOf(held)}" of`, async () => {
      const { ledger } = this.#seat(held);
      await ledger.append({ kind: "gap", epoch: held.epoch, next, at: this.#world.now() });
      return ledger.account.holding!;
    });
  }

  async gaps(): Promise<readonly Gap[]> {
    return (await readLedgers(this.root)).flatMap(({ gaps }) => gaps);
  }

  async holdings(): Promise<readonly Holding[]> {
    const readings = await readLedgers(this.root);
    return readings.flatMap(({ holding }) => holding === null ? [] : [holding]);
  }

  async units(): Promise<readonly Unit[]> {
    return (await readLedgers(this.root)).flatMap(unitsOf);
  }

  async rows(file: LakeFile): Promise<readonly Row[]> {
    return await read(TABLES[file.table], await bytesOf(this.root, file));
  }

  async *told(
    table: TableName,
    instrument: Instrument,
    from: number,
    to: number,
  ): AsyncGenerator<readonly Row[]> {
    yield* told(this.root, await this.units(), table, instrument, from, to);
  }

  async lastTold(
    table: TableName,
    instrument: Instrument,
    to: number,
    before: number,
  ): Promise<Row | null> {
    return await lastTold(this.root, await this.units(), table, instrument, to, before);
  }

  async symbols(table: TableName, venue: string, max: number): Promise<readonly string[]> {
    return await symbolsIn(this.root, await this.units(), table, venue, max);
  }

  async mend(file: LakeFile, sheet: Sheet): Promise<string | null> {
    const { path, table, date, rows } = file;
    if (!(sheet instanceof UnitSheet)) {
      throw new Misuse(`Cannot write "${path}" again: the sheet is of another lake, must be one that it gave`);
    }
    for (const drafted of sheet.drafts()) {
      if (drafted.table !== table || drafted.date !== date) continue;
      const bytes = await write(sheet.partition, drafted.draft);
      return await this.#persist(
        `write "${path}" again in`,
        () => restore(this.root, file, bytes, this.#world.now()),
      );
    }
    throw new Refusal(`Cannot write "${path}" again: the log has none of its rows, must have ${rows}`);
  }

  async damages(): Promise<readonly Damage[]> {
    const found = await survey(this.root);
    // What an owner is writing at this moment looks like damage, so it counts only once nobody owns the partition.
    const owned = new Set<string>();
    for (const { owner } of found) if (owner !== null && await this.#isLocked(owner)) owned.add(owner);
    const again = found.some(({ owner }) => owner !== null && !owned.has(owner)) ? await survey(this.root) : found;
    return again.filter(({ owner }) => owner === null || !owned.has(owner)).map(({ damage }) => damage);
  }

  isOwned(place: Place): Promise<boolean> {
    return this.#isLocked(nameOf(place));
  }

  async writtenAt(place: Place): Promise<number | null> {
    const { units } = await readLedger(ledgerPath(this.root, nameOf(place)));
    const file = units.findLast(({ files }) => files.length > 0)?.files[0];
    if (file === undefined) return null;
    return (await Deno.stat(`${this.root}/${file.path}`).catch(unlessMissing))?.mtime?.getTime() ?? null;
  }

  /** Asks for the lock as readers share it, and gives it back at once. */
  async #isLocked(name: string): Promise<boolean> {
    if (this.#seats.has(name)) return true;
    using lock = await Deno.open(`${ledgerPath(this.root, name)}.lock`).catch(unlessMissing);
    return lock !== undefined && !await lock.tryLock(false);
  }

  release(held: Holding): Promise<void> {
    const name = nameOf(held);
    this.#seats.get(name)?.lock.close();
    this.#seats.delete(name);
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    for (const { lock } of this.#seats.values()) lock.close();
    this.#seats.clear();
    return Promise.resolve();
  }
}
