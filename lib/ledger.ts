/**
 * The lake's ledger: one append-only file a topic and partition, the only thing that says which units exist. A line is
 * `length crc json`; each JSON names the SHA-256 of the line before it, so that nothing can be taken out or put in.
 *
 * **In** entries, **Out** the account that they give of the partition; a torn tail is cut by the lock's holder alone.
 * **Knows** `lake`, `fence`, `failure`.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { Outage, reasonOf, Refusal } from "./failure.ts";
import type { Holding } from "./fence.ts";
import type { Damage, LakeFile } from "./lake.ts";

/** Takes the partition: every acquire writes one, with what it holds. */
export interface LedgerOwner extends Holding {
  readonly kind: "owner";
  readonly format: 1;
  readonly pid: number;
}
/** Binds every successor to cut the next unit at `last`. */
export interface LedgerIntent {
  readonly kind: "intent";
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
}
/** Commits a unit. */
export interface LedgerUnit {
  readonly kind: "unit";
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
  /** Offset to resume at. */
  readonly next: number;
  /** What wrote the files. */
  readonly engine: string;
  readonly files: readonly LakeFile[];
}
/** A line's content. */
export type LedgerEntry = LedgerOwner | LedgerIntent | LedgerUnit;

/** What the entries so far say of their partition. */
export interface Account {
  /** Null before the first owner. */
  readonly holding: Holding | null;
  /** Process of the last owner. */
  readonly pid: number;
  readonly units: readonly LedgerUnit[];
  /** A cut that was bound and is not published yet. */
  readonly intent: { readonly first: number; readonly last: number } | null;
}

/** A ledger as it lies there: the account of its sound part, and what is wrong behind it. */
export interface Reading extends Account {
  readonly fault: Omit<Damage, "path"> | null;
  /** Bytes of an unfinished last line. */
  readonly torn: number;
}

const FRAME = /^(\d+) ([0-9a-f]{8}) /;
const GENESIS = "0".repeat(64);
const NEWLINE = 10;
const EMPTY: Account = { holding: null, pid: 0, units: [], intent: null };

/** SHA-256 of bytes or text, hex. */
export function sha256(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Makes a folder's entries durable. */
export async function syncFolder(path: string): Promise<void> {
  using folder = await Deno.open(path);
  await folder.sync();
}

/** Why the entry cannot follow; null when it can. */
export function faultOf({ holding }: Account, entry: LedgerEntry): Omit<Damage, "path"> | null {
  const fault = (kind: Damage["kind"], detail: string) => ({ kind, detail });
  if (entry.kind === "owner") {
    if (holding === null || entry.epoch === holding.epoch + 1) return null;
    return fault("ledger", `epoch ${entry.epoch} follows ${holding.epoch}`);
  }
  if (holding === null || entry.epoch !== holding.epoch) {
    return fault("ledger", `epoch ${entry.epoch} writes where ${holding?.epoch ?? "none"} owns`);
  }
  if (entry.first >= 0 && entry.first <= holding.origin) {
    return fault("overlap", `origins ${entry.first} to ${entry.last} follow ${holding.origin}`);
  }
  if (entry.last < entry.first) return fault("ledger", `origins ${entry.first} to ${entry.last} are no range`);
  return null;
}

function entered(account: Account, entry: LedgerEntry): Account {
  switch (entry.kind) {
    case "owner": {
      const { kind: _kind, format: _format, pid, ...holding } = entry;
      return { ...account, holding, pid };
    }
    case "intent":
      return { ...account, intent: { first: entry.first, last: entry.last } };
    case "unit": {
      const held = account.holding!;
      const origin = entry.first < 0 ? held.origin : entry.last;
      return {
        ...account,
        intent: null,
        units: [...account.units, entry],
        holding: { ...held, next: entry.next, origin },
      };
    }
  }
}

/** Where the sound part ends, for whoever appends. */
interface Scan extends Reading {
  readonly sound: number;
  readonly lines: number;
  readonly tail: string;
}

function scan(bytes: Uint8Array): Scan {
  let account = EMPTY;
  let [at, lines, tail] = [0, 0, GENESIS];
  const stop = (fault: Omit<Damage, "path"> | null, torn: number): Scan => ({
    ...account,
    fault,
    torn,
    sound: at,
    lines,
    tail,
  });
  while (at < bytes.length) {
    const end = bytes.indexOf(NEWLINE, at);
    if (end < 0) return stop(null, bytes.length - at);
    const line = Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString();
    const frame = FRAME.exec(line);
    const json = frame === null ? "" : line.slice(frame[0].length);
    if (frame === null || Buffer.byteLength(json) !== Number(frame[1]) || crc32(json) !== parseInt(frame[2]!, 16)) {
      // The last line may be one whose bytes never reached the disk; a bad one in the middle is damage.
      if (end === bytes.length - 1) return stop(null, bytes.length - at);
      return stop({ kind: "ledger", detail: `line ${lines + 1} is not as it was written` }, 0);
    }
    const { number, previous, ...entry }: LedgerEntry & { number: number; previous: string } = JSON.parse(json);
    if (number !== lines || previous !== tail) {
      return stop({ kind: "ledger", detail: `line ${lines + 1} does not follow the one before it` }, 0);
    }
    const fault = faultOf(account, entry as LedgerEntry);
    if (fault !== null) return stop({ ...fault, detail: `line ${lines + 1}: ${fault.detail}` }, 0);
    account = entered(account, entry as LedgerEntry);
    tail = sha256(line);
    lines++;
    at = end + 1;
  }
  return stop(null, 0);
}

/** Reads a ledger without owning it; null when there is none. */
export async function readLedger(path: string): Promise<Reading | null> {
  try {
    return scan(await Deno.readFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** A ledger in the hands of its lock's holder. */
export class Ledger {
  account: Account;
  readonly #path: string;
  #size: number;
  #lines: number;
  #tail: string;

  private constructor(path: string, { fault: _fault, torn: _torn, sound, lines, tail, ...account }: Scan) {
    this.#path = path;
    this.account = account;
    this.#size = sound;
    this.#lines = lines;
    this.#tail = tail;
  }

  /** Reads the ledger and cuts a torn tail, which is reported. @throws {Refusal} when what is there was changed */
  static async open(path: string, report: (line: string) => void): Promise<Ledger> {
    using file = await Deno.open(path, { create: true, read: true, write: true });
    const found = scan(await Deno.readFile(path));
    if (found.fault !== null) {
      throw new Refusal(`Cannot own ledger "${path}": ${found.fault.detail}, must be as it was written`);
    }
    if (found.torn > 0) {
      report(`cut ${found.torn} bytes of an unfinished line from ledger ${path}`);
      await file.truncate(found.sound);
      await file.sync();
    }
    await syncFolder(dirname(path));
    return new Ledger(path, found);
  }

  /**
   * Appends an entry and makes it durable: this is the point at which it counts.
   * @throws {Refusal} when it cannot follow or somebody else has appended, {Outage} when the disk does not take it
   */
  async append(entry: LedgerEntry): Promise<void> {
    const fault = faultOf(this.account, entry);
    if (fault !== null) throw new Refusal(`Cannot append to ledger "${this.#path}": ${fault.detail}, must follow`);
    using file = await Deno.open(this.#path, { append: true });
    const { size } = await file.stat();
    if (size !== this.#size) {
      throw new Refusal(
        `Cannot append to ledger "${this.#path}": it has ${size} bytes, must have the ${this.#size} that its owner left`,
      );
    }
    const json = JSON.stringify({ ...entry, number: this.#lines, previous: this.#tail });
    const line = `${Buffer.byteLength(json)} ${crc32(json).toString(16).padStart(8, "0")} ${json}`;
    const bytes = new TextEncoder().encode(`${line}\n`);
    try {
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      await file.sync();
    } catch (error) {
      throw new Outage(`Cannot append to ledger "${this.#path}": ${reasonOf(error)}, must be durable`, {
        cause: error,
      });
    }
    this.account = entered(this.account, entry);
    this.#size += bytes.length;
    this.#lines++;
    this.#tail = sha256(line);
  }
}
