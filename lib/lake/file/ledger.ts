/**
 * The ledger of one partition in the lake: an append-only file that alone says which files exist. Each line is its JSON's
 * length, CRC and text, and each entry names the SHA-256 of the one before it. One synced line is a commit.
 *
 * **In** entries, **Out** what they come to; an entry that cannot follow the ones before it is never written.
 * **Knows** `account`, `folder`, `failure`.
 */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { Refusal } from "../../failure.ts";
import { syncFolder } from "../../folder.ts";
import type { LakeFile } from "../../lake.ts";
import { type Account, EMPTY, Entry, type Fault, faultOf, follow, FORMAT, type Line, Newer } from "./account.ts";

const HEADER = /^(\d{8}) ([0-9a-f]{8}) $/;
const HEADER_BYTES = 18;
const LINE_BYTES_MAX = 1 << 20;
/** Bytes that a disk writes whole: what a power cut leaves out of a write ends where one of them does. */
const SECTOR = 512;
const NEWLINE = 10;
const decoder = new TextDecoder();
const encoder = new TextEncoder();
const checksum = (bytes: Uint8Array): string => crc32(bytes).toString(16).padStart(8, "0");

/** SHA-256 of bytes, in hexadecimal digits. */
export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** The bytes of a file that a ledger names. @throws {Refusal} when they are other ones */
export async function bytesOf(root: string, file: LakeFile): Promise<Uint8Array> {
  const bytes = await Deno.readFile(`${root}/${file.path}`);
  if (sha256(bytes) === file.sha256) return bytes;
  throw new Refusal(`Cannot read file "${file.path}": its bytes are not those of the ledger, must be unchanged`);
}

/** A ledger as it lies there. */
export interface Reading extends Account {
  /** Bytes of the sound lines. */
  readonly end: number;
  /** SHA-256 of the last sound entry; zeros before the first. */
  readonly head: string;
  /** Bytes of a line that was never finished. */
  readonly torn: number;
  /** Why the lines after the sound ones are not; null when there are none. */
  readonly fault: Fault | null;
}

/** Reads a ledger without owning it; one that does not exist is empty. @throws {Refusal} for one of a newer format */
export async function readLedger(path: string): Promise<Reading> {
  try {
    return judge(path, await Deno.readFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return judge(path, new Uint8Array(0));
    throw error;
  }
}

function judge(path: string, bytes: Uint8Array): Reading {
  let account: Account = { ...EMPTY, units: [] };
  let end = 0;
  let head = "0".repeat(64);
  const stop = (fault: Fault | null): Reading => ({
    ...account,
    end,
    head,
    torn: fault ? 0 : bytes.length - end,
    fault,
  });
  const fault = (kind: Fault["kind"], detail: string) => stop({ kind, detail: `${detail} at byte ${end}` });
  while (end < bytes.length && !isTorn(bytes, end)) {
    const body = bodyOf(bytes, end);
    const next = end + HEADER_BYTES + (body?.length ?? 0) + 1;
    if (body === null || bytes[next - 1] !== NEWLINE) return fault("ledger", "a line is changed");
    const value = parsed(body);
    const newer = Newer.safeParse(value);
    if (newer.success) {
      throw new Refusal(
        `Cannot open ledger "${path}": its format is ${newer.data.format}, must be at most ${FORMAT} (a newer Tapedeck wrote it)`,
      );
    }
    const entry = Entry.safeParse(value);
    if (!entry.success) return fault("ledger", `a line is not of format ${FORMAT}`);
    const { prev, ...line } = entry.data;
    if (prev !== head) return fault("ledger", "the chain is broken");
    const why = faultOf(account, line);
    if (why !== null) return fault(why.kind, why.detail);
    account = follow(account, line);
    head = sha256(body);
    end = next;
  }
  return stop(null);
}

/** What the line at `from` says, by its length and checksum, whatever follows it; null when they do not match. */
function bodyOf(bytes: Uint8Array, from: number): Uint8Array | null {
  const start = from + HEADER_BYTES;
  const [, length, crc] = HEADER.exec(decoder.decode(bytes.subarray(from, start))) ?? [];
  const body = bytes.subarray(start, start + Number(length));
  return body.length === Number(length) && crc === checksum(body) ? body : null;
}

/**
 * Whether a crash left what begins at `from`: one line without its end, or with holes of zeros where sectors, or the ends
 * of them, were never written. Anything else was changed later, a whole line whose end is something else too.
 */
function isTorn(bytes: Uint8Array, from: number): boolean {
  const newline = bytes.indexOf(NEWLINE, from);
  if (newline >= 0 && newline < bytes.length - 1) return false;
  let isHoled = false;
  for (let at = bytes.indexOf(0, from); at >= 0; at = bytes.indexOf(0, at)) {
    isHoled = true;
    while (bytes[at] === 0) at++;
    if (at < bytes.length && at % SECTOR !== 0) return false;
  }
  if (newline >= 0) return isHoled;
  const body = bodyOf(bytes, from);
  const end = from + HEADER_BYTES + (body?.length ?? 0);
  return body === null || end === bytes.length || bytes[end] === 0;
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(body));
  } catch {
    return undefined;
  }
}

/** A ledger in the hands of its one owner, who holds the partition's lock. */
export class Ledger {
  account: Account;
  readonly #path: string;
  #end: number;
  #head: string;
  /** Whether the file ends where the account does, is being written, or was left with the beginning of a line. */
  #state: "whole" | "written" | "torn" = "whole";

  private constructor(path: string, { end, head, torn: _torn, fault: _fault, ...account }: Reading) {
    this.#path = path;
    this.#end = end;
    this.#head = head;
    this.account = account;
  }

  /**
   * Opens or creates a ledger, and cuts a line that a crash left unfinished.
   * @throws {Refusal} when a finished line is not sound
   */
  static async open(path: string, report: (line: string) => void): Promise<Ledger> {
    const reading = await readLedger(path);
    if (reading.fault !== null) {
      throw new Refusal(`Cannot own ledger "${path}": ${reading.fault.detail}, must be as it was written`);
    }
    using file = await Deno.open(path, { create: true, write: true });
    if (reading.torn > 0) {
      await file.truncate(reading.end);
      report(`cut ${reading.torn} bytes of an unfinished line off ledger ${path}`);
    }
    await file.sync();
    syncFolder(dirname(path));
    return new Ledger(path, reading);
  }

  /**
   * Appends an entry durably: the commit.
   * @throws {Refusal} when it may not follow, or when another writer has been here
   */
  async append(line: Line): Promise<void> {
    await this.mend();
    if (this.#state !== "whole") throw this.#refusal("the outcome of an append is not known", "acquired again");
    const fault = faultOf(this.account, line);
    if (fault !== null) throw this.#refusal(fault.detail, "a range and epoch that follow");
    const body = encoder.encode(JSON.stringify({ ...line, prev: this.#head }));
    if (body.length > LINE_BYTES_MAX) {
      throw this.#refusal(`a line has ${body.length} bytes`, `at most ${LINE_BYTES_MAX}`);
    }
    this.#state = "written";
    const { size } = await Deno.stat(this.#path).catch(() => ({ size: -1 }));
    if (size !== this.#end) {
      throw this.#refusal(`it has ${size} bytes and was left with ${this.#end}`, "written by its owner alone");
    }
    const header = encoder.encode(`${String(body.length).padStart(8, "0")} ${checksum(body)} `);
    const whole = new Uint8Array([...header, ...body, NEWLINE]);
    try {
      using file = await Deno.open(this.#path, { append: true });
      for (let done = 0; done < whole.length;) done += await file.write(whole.subarray(done));
      await file.sync();
    } catch (error) {
      this.#state = "torn";
      // Where that fails too, the next append begins with it.
      await this.mend().catch(() => {});
      throw error;
    }
    this.account = follow(this.account, line);
    this.#end += whole.length;
    this.#head = sha256(body);
    this.#state = "whole";
  }

  /** Whether the account is all that the file says; otherwise the next owner finds out. */
  get isKnown(): boolean {
    return this.#state === "whole";
  }

  /** After an append that failed: cuts the file back to the last line that counts, through a descriptor of its own. */
  async mend(): Promise<void> {
    if (this.#state !== "torn") return;
    using file = await Deno.open(this.#path, { write: true });
    await file.truncate(this.#end);
    await file.sync();
    this.#state = "whole";
  }

  #refusal(state: string, wanted: string): Refusal {
    return new Refusal(`Cannot append to ledger "${this.#path}": ${state}, must be ${wanted}`);
  }
}
