/**
 * The door to the lake: Parquet files of the tables of `lib/table.ts`, and the ledger that alone says which of them
 * exist. Residents: `lake/file`, `lake/memory`; the URL's scheme is the file's name.
 *
 * Promise: a unit of commit is a range of origins of one partition; it is in the ledger whole, or not at all; the same
 * rows and boundaries give the same bytes.
 * **Knows** `fence`, `table`, `failure`.
 */
import { Misuse, shownUrl } from "./failure.ts";
import type { Holding, Place, Store } from "./fence.ts";
import { dateOf, type Recall, type Row, type TableName } from "./table.ts";
import type { World } from "./world.ts";

/** A file that the ledger names. */
export interface LakeFile {
  readonly table: TableName;
  /** UTC date of the event times, `YYYY-MM-DD`. */
  readonly date: string;
  /** Relative to the lake's root. */
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** A committed range of origins of one partition and the files that hold it, possibly none. */
export interface Unit {
  readonly topic: string;
  readonly partition: number;
  /** First and last origin applied. */
  readonly first: number;
  readonly last: number;
  /** The offsets of the topic that hold them: from the one resumed at, up to and without the one to resume at. */
  readonly from: number;
  readonly next: number;
  readonly files: readonly LakeFile[];
}

/** What publishing a sheet came to: the new holding, and the files of its unit. */
export interface Published {
  readonly held: Holding;
  readonly files: readonly LakeFile[];
}

/** What the ledger or a file shows that cannot be: a finding for the audit. */
export interface Damage {
  readonly kind: "ledger" | "missing" | "changed" | "orphan" | "overlap";
  readonly path: string;
  readonly detail: string;
}

export interface Lake extends Store, Recall {
  /**
   * Binds every successor to cut the next unit at `last`, before any file is written; for a seal that the log alone would not give.
   * @throws {Refusal} when another owner has raised the epoch
   */
  intend(held: Holding, first: number, last: number): Promise<void>;
  /** The cut that an earlier owner intended and did not publish; null when there is none. */
  intended(held: Holding): { readonly first: number; readonly last: number } | null;
  /** A sheet that collects the rows of the next unit of a place, given in the order of their origin. */
  sheet(held: Holding): Sheet;
  /**
   * Publishes the sheet's rows as one unit; `next` is the offset to resume at.
   * @throws {Refusal} when another owner has raised the epoch, or a file of the ledger has other bytes
   */
  publish(held: Holding, sheet: Sheet, next: number): Promise<Published>;
  /** Gives the place up, so that another process may acquire it; what its sheet holds is not published. */
  release(held: Holding): Promise<void>;
  /** Every unit of the ledger, per partition in the order of origins. */
  units(): Promise<readonly Unit[]>;
  /** Reads a file as the independent witness does: hyparquet, not the engine that wrote it; ordered by origin. */
  rows(file: LakeFile): Promise<readonly Row[]>;
  /**
   * Writes a file of the ledger again from the rows of its whole unit, and gives where the one that lay there is kept;
   * null where none did. The ledger stays as it is, so this needs no holding and disturbs no owner.
   * @throws {Refusal} when the rows do not give the bytes of the ledger; nothing is touched then
   */
  mend(file: LakeFile, sheet: Sheet): Promise<string | null>;
  /** Checks the chain, every file's presence and hash, and what lies there unnamed. */
  damages(): Promise<readonly Damage[]>;
  /** Whether a process that lives has taken the place. */
  isOwned(place: Place): Promise<boolean>;
  /** When the files of its last unit were written, ms since the epoch; null before the first, absent where nothing is. */
  writtenAt?(place: Place): Promise<number | null>;
  /** Format of its ledgers: one of another is refused. Absent where it has none. */
  readonly version?: string;
  /** Where the files lie: what a file's `path` is relative to. */
  readonly root: string;
  /** A query that the user can paste to look at the data. */
  readonly tryThis: string;
}

/** Rows of one unit in the making. */
export interface Sheet {
  /** @throws {RangeError} when the origin does not rise */
  add(table: TableName, row: Row): void;
  readonly rows: number;
  /** Characters that the rows need as text; the same rows give the same size. */
  readonly size: number;
  /** Distinct UTC dates of the event times so far. */
  readonly dates: number;
  /** Whether adding a row of this event time would make a date beyond {@linkcode UNIT_DATES_MAX}. */
  overflows(eventTime: number): boolean;
  /** First and last origin; -1 when empty. */
  readonly first: number;
  readonly last: number;
}

/** What every resident's sheet keeps of its rows, wherever it puts them. */
export abstract class RisingSheet implements Sheet {
  rows = 0;
  size = 0;
  first = -1;
  last = -1;
  /** Name of the place that the rows are of. */
  readonly place: string;
  readonly partition: number;
  readonly #after: number;
  readonly #dates = new Set<string>();

  /** After the origin that the holding stands at. */
  constructor(held: Holding, place: string) {
    this.place = place;
    this.partition = held.partition;
    this.#after = held.origin;
  }

  get dates(): number {
    return this.#dates.size;
  }

  overflows(eventTime: number): boolean {
    return this.#dates.size >= UNIT_DATES_MAX && !this.#dates.has(dateOf(eventTime));
  }

  add(table: TableName, row: Row): void {
    const origin = row[1], eventTime = row[4];
    if (row[0] !== this.partition || typeof origin !== "number" || !(origin > Math.max(this.last, this.#after))) {
      throw new RangeError(
        `Cannot add origin ${origin} of partition ${
          row[0]
        } to a sheet of ${this.place}: it follows ${this.last}, must rise`,
      );
    }
    const date = dateOf(eventTime as number);
    this.size += this.put(table, date, row);
    this.#dates.add(date);
    if (this.first < 0) this.first = origin;
    this.last = origin;
    this.rows++;
  }

  /** Takes a row of a table and date, and gives the size that it adds. */
  protected abstract put(table: TableName, date: string, row: Row): number;
}

/** A unit closes before it holds more event dates than this. */
export const UNIT_DATES_MAX = 8;
/** Applied rows after which a unit closes. */
export const UNIT_ROWS = 200_000;
/** Size of a sheet after which a unit closes, whatever its rows: books are large, and a sheet is held in memory. */
export const UNIT_SIZE = 48 << 20;

/** Opens the resident that the URL's scheme names. @throws {Misuse} for an unknown scheme */
export async function openLake(url: string, world: World): Promise<Lake> {
  const scheme = url.slice(0, url.indexOf(":"));
  if (!SCHEMES.includes(scheme)) {
    throw new Misuse(
      `Cannot open lake "${shownUrl(url)}": its scheme is unknown, must be one of ${SCHEMES.join(", ")}`,
    );
  }
  const resident: { open(url: string, world: World): Promise<Lake> } = await import(`./lake/${scheme}.ts`);
  return await resident.open(url, world);
}
const SCHEMES = ["file", "memory"];
