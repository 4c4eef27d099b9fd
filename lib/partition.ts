/**
 * A partition of the embedded log: a folder of segments, read by cursors and written by writers of several processes.
 *
 * An append takes the partition's advisory lock; only its holder cuts a torn tail.
 * **In** messages, **Out** records in order, each checked against its checksum.
 * **Knows** `segment`, `transport`, `failure`, `world`.
 */
import { Outage, reasonOf, Refusal } from "./failure.ts";
import { decodeLines, isSound, Lines, segmentBase, segmentName } from "./segment.ts";
import type { LogRecord, Message, Range } from "./transport.ts";
import type { World } from "./world.ts";

/** Bytes after which a segment is closed and the next begun. */
const SEGMENT_BYTES = 64 << 20;
const CHUNK_BYTES = 2 << 20;
const BASE_DIGITS = 20;
/** A line holds one message, escaped or in base64, and its envelope. */
const LINE_BYTES_MAX = 4 << 20;
/** How long an append may wait for its sync under the policy `interval`. */
export const FSYNC_INTERVAL_MS = 100;
/** When an append is made durable: before its acknowledgement, within the interval, or when the system likes. */
export type Policy = "batch" | "interval" | "never";

/** Writes all bytes, however little the system takes at once. */
export function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

/** Makes a folder's entries durable. */
export function syncFolder(path: string): void {
  const folder = Deno.openSync(path);
  folder.syncSync();
  folder.close();
}

/** Base offsets of a partition's segments, rising. */
function segmentsOf(folder: string): number[] {
  const bases: number[] = [];
  for (const entry of Deno.readDirSync(folder)) {
    const base = segmentBase(entry.name);
    if (base !== null) bases.push(base);
  }
  return bases.sort((a, b) => a - b);
}

/** What a partition holds: from its first segment's base to after its last whole line. */
export function rangeOf(folder: string): Range {
  const segments = segmentsOf(folder);
  if (segments.length === 0) return { low: 0, high: 0 };
  const base = segments.at(-1)!;
  const file = Deno.openSync(`${folder}/${segmentName(base)}`);
  try {
    const size = file.statSync().size;
    for (let reach = 4096;; reach *= 16) {
      const from = Math.max(0, size - reach);
      const tail = new Uint8Array(size - from);
      file.seekSync(from, Deno.SeekMode.Start);
      const read = tail.subarray(0, readFully(file, tail));
      const end = read.lastIndexOf(10);
      const start = end < 0 ? -1 : read.lastIndexOf(10, end - 1);
      if (end < 0 && from === 0) return { low: segments[0]!, high: base };
      if (end < 0 || (start < 0 && from > 0)) continue;
      const line = new TextDecoder().decode(read.subarray(start + 1, Math.min(end, start + 64)));
      const offset = /^\{"crc":"[0-9a-f]{8}","offset":(\d+),/.exec(line);
      if (offset === null) {
        throw new Refusal(`Cannot read the end of "${folder}": its last line is no record, must be as it was written`);
      }
      return { low: segments[0]!, high: Number(offset[1]) + 1 };
    }
  } finally {
    file.close();
  }
}

function readFully(file: Deno.FsFile, into: Uint8Array): number {
  let length = 0;
  while (length < into.length) {
    const n = file.readSync(into.subarray(length));
    if (n === null) break;
    length += n;
  }
  return length;
}

/**
 * The last segment's base, as whoever began that segment noted it in the lock's file; null before the first. One read,
 * where listing the folder would cost as much as a small batch.
 */
function notedBase(lock: Deno.FsFile): number | null {
  const note = new Uint8Array(BASE_DIGITS);
  lock.seekSync(0, Deno.SeekMode.Start);
  return readFully(lock, note) === BASE_DIGITS ? Number(new TextDecoder().decode(note)) : null;
}

/** Reads a partition's records in order across its segments; what is not there yet is simply not given. */
export class Cursor {
  next: number;
  readonly #folder: string;
  readonly #place: string;
  #file: Deno.FsFile | null = null;
  /** The lock's file, for its note of the last segment. */
  #note: Deno.FsFile | null = null;
  #base = -1;
  #buffer = new Uint8Array(CHUNK_BYTES);
  #start = 0;
  #end = 0;

  constructor(folder: string, place: string, next: number) {
    this.#folder = folder;
    this.#place = place;
    this.next = next;
  }

  /** Up to `max` records; none at the end of the partition. @throws {Refusal} when what is there is not what was written */
  take(max: number): LogRecord[] {
    if (max <= 0 || (this.#file === null && !this.#seek())) return [];
    for (;;) {
      const { records, length } = decodeLines(
        this.#buffer.subarray(this.#start, this.#end),
        this.#place,
        this.next,
        max,
      );
      this.#start += length;
      this.next += records.length;
      if (records.length > 0) return records;
      if (!this.#fill() && !this.#advance()) return [];
    }
  }

  /** Opens the segment that holds `next` and skips the lines before it. */
  #seek(): boolean {
    const base = segmentsOf(this.#folder).findLast((b) => b <= this.next);
    if (base === undefined) return false;
    this.#open(base);
    for (let offset = base; offset < this.next;) {
      const newline = this.#buffer.subarray(0, this.#end).indexOf(10, this.#start);
      if (newline >= 0) {
        this.#start = newline + 1;
        offset++;
      } else if (!this.#fill()) {
        this.close();
        return false;
      }
    }
    return true;
  }

  #open(base: number): void {
    this.#file?.close();
    this.#file = Deno.openSync(`${this.#folder}/${segmentName(base)}`);
    this.#base = base;
    this.#start = this.#end = 0;
  }

  /** Reads on; false when the segment has no more bytes now. */
  #fill(): boolean {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    if (this.#end === this.#buffer.length) {
      if (this.#buffer.length >= LINE_BYTES_MAX) {
        throw new Refusal(
          `Cannot read record "${this.#place}/${this.next}": its line is longer than ${LINE_BYTES_MAX} bytes, must be shorter`,
        );
      }
      const larger = new Uint8Array(this.#buffer.length * 2);
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    const n = this.#file!.readSync(this.#buffer.subarray(this.#end));
    if (n === null || n === 0) return false;
    this.#end += n;
    return true;
  }

  /** Goes on to the next segment, once it is there. @throws {Refusal} when records between the two are missing */
  #advance(): boolean {
    this.#note ??= openIfThere(`${this.#folder}/lock`);
    if (this.#note !== null && notedBase(this.#note) === this.#base) return false;
    const following = segmentsOf(this.#folder).find((b) => b > this.#base);
    if (following === undefined) return false;
    // A roll happens after the last append to a segment, so what came in between is read first.
    if (this.#fill()) return true;
    if (following !== this.next) {
      throw new Refusal(
        `Cannot read records "${this.#place}/${this.next}" to ${
          following - 1
        }: their segment ends before them, must hold them`,
      );
    }
    this.#open(following);
    return true;
  }

  /** Makes durable what was read; segments before this one were synced when it was begun. */
  async sync(): Promise<void> {
    await this.#file?.syncData();
  }

  close(): void {
    this.#file?.close();
    this.#file = null;
    this.#note?.close();
    this.#note = null;
  }
}

function openIfThere(path: string): Deno.FsFile | null {
  try {
    return Deno.openSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Appends to a partition, together with the writers of other processes. */
export class Writer {
  readonly #folder: string;
  readonly #place: string;
  readonly #bytesMax: number;
  readonly #policy: Policy;
  readonly #world: World;
  readonly #lock: Deno.FsFile;
  readonly #lines = new Lines();
  #file: Deno.FsFile | null = null;
  #base = -1;
  #size = 0;
  #next = 0;
  #unsynced = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(folder: string, place: string, bytesMax: number, policy: Policy, world: World) {
    this.#folder = folder;
    this.#place = place;
    this.#bytesMax = bytesMax;
    this.#policy = policy;
    this.#world = world;
    this.#lock = Deno.openSync(`${folder}/lock`, { create: true, read: true, write: true });
  }

  async append(messages: readonly Message[]): Promise<{ first: number; next: number }> {
    if (!this.#lock.tryLockSync(true)) await this.#lock.lock(true);
    let first: number;
    try {
      this.#catchUp();
      first = this.#next;
      const bytes = this.#lines.encode(messages, first, this.#bytesMax);
      if (this.#size > 0 && this.#size + bytes.length > SEGMENT_BYTES) this.#roll();
      try {
        writeAll(this.#file!, bytes);
      } catch (error) {
        this.#file!.truncateSync(this.#size);
        throw new Outage(`Cannot append to "${this.#place}": ${reasonOf(error)}, must have room`);
      }
      this.#size += bytes.length;
      this.#next += messages.length;
    } finally {
      this.#lock.unlockSync();
    }
    this.#unsynced = true;
    if (this.#policy === "batch") await this.sync();
    else if (this.#policy === "interval") this.#timer ??= setTimeout(() => this.sync(), FSYNC_INTERVAL_MS);
    return { first, next: first + messages.length };
  }

  /** Under the lock: takes in what others appended, and cuts what somebody left unfinished. */
  #catchUp(): void {
    const base = this.#lastBase();
    if (base === undefined) return this.#start(0);
    if (base !== this.#base) this.#take(base);
    const size = this.#file!.statSync().size;
    if (size === this.#size) return;
    if (size < this.#size) {
      throw new Refusal(
        `Cannot append to "${this.#place}": its segment shrank from ${this.#size} to ${size} bytes, must only grow`,
      );
    }
    const added = new Uint8Array(size - this.#size);
    this.#file!.seekSync(this.#size, Deno.SeekMode.Start);
    readFully(this.#file!, added);
    let end = added.lastIndexOf(10) + 1;
    let lines = 0;
    for (let at = 0; at < end; at = added.indexOf(10, at) + 1) lines++;
    // A power cut may leave a last line whose bytes never reached the disk; a bad line with sound ones after it is
    // damage, which stays for the reader to name.
    while (end > 0) {
      const start = added.lastIndexOf(10, end - 2) + 1;
      if (isSound(added, start, end - 1)) break;
      end = start;
      lines--;
    }
    if (end < added.length) {
      this.#world.report(
        `cut ${added.length - end} bytes of an unfinished append after "${this.#place}/${this.#next + lines - 1}"`,
      );
      this.#file!.truncateSync(this.#size + end);
      this.#file!.syncSync();
    }
    this.#size += end;
    this.#next += lines;
  }

  /** The last segment's base: as noted; at first also as the folder shows, which may come from elsewhere. */
  #lastBase(): number | undefined {
    const noted = notedBase(this.#lock);
    if (noted !== null && this.#base >= 0) return noted;
    const listed = segmentsOf(this.#folder).at(-1);
    return noted === null || listed === undefined ? listed : Math.max(noted, listed);
  }

  /** Begins a segment. Its note is durable before it is there, so that nobody takes the one before for the last. */
  #start(base: number): void {
    this.#lock.seekSync(0, Deno.SeekMode.Start);
    writeAll(this.#lock, new TextEncoder().encode(String(base).padStart(BASE_DIGITS, "0")));
    this.#lock.syncSync();
    this.#take(base);
    syncFolder(this.#folder);
  }

  /** Opens a segment, which may be noted and not there yet. */
  #take(base: number): void {
    this.#file?.close();
    this.#file = Deno.openSync(`${this.#folder}/${segmentName(base)}`, { create: true, read: true, append: true });
    this.#base = base;
    this.#size = 0;
    this.#next = base;
  }

  /** Begins a new segment; the one before is durable first, so that only the last one ever needs a sync. */
  #roll(): void {
    this.#file!.syncDataSync();
    this.#start(this.#next);
  }

  /** Makes durable what was appended. */
  async sync(): Promise<void> {
    this.#timer = undefined;
    if (!this.#unsynced) return;
    this.#unsynced = false;
    await this.#file!.syncData();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.sync();
    this.#file?.close();
    this.#lock.close();
  }
}

/** Makes what a partition holds durable, whoever wrote it; segments before the last were synced when it was begun. */
export async function syncPartition(folder: string): Promise<void> {
  const last = segmentsOf(folder).at(-1);
  if (last === undefined) return;
  using file = await Deno.open(`${folder}/${segmentName(last)}`);
  await file.syncData();
}
