/**
 * A partition of the embedded log on disk: a folder of segments, the first offset of each in its name, and a lock whose
 * file notes the last one. `cursor` reads it, `writer` appends to it.
 *
 * **In** a folder, **Out** what it holds. **Knows** `segment`, `transport`, `failure`.
 */
import { crc32 } from "node:zlib";
import { Refusal } from "./failure.ts";
import { segmentBase, segmentName } from "./segment.ts";
import type { Range } from "./transport.ts";

/** Digits of a base offset in a segment's name, and of the lock's notes. */
const BASE_DIGITS = 20;
const CRC_DIGITS = 8;
const CHUNK_BYTES = 1 << 20;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes all bytes, however little the system takes at once. */
export function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

/** Base offsets of a partition's segments, rising. */
export function segmentsOf(folder: string): number[] {
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

/** Reads until the buffer is full or the file ends, and gives the bytes read. */
export function readFully(file: Deno.FsFile, into: Uint8Array): number {
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
export function notedBase(lock: Deno.FsFile): number | null {
  const note = new Uint8Array(BASE_DIGITS);
  lock.seekSync(0, Deno.SeekMode.Start);
  return readFully(lock, note) === BASE_DIGITS ? Number(decoder.decode(note)) : null;
}

/** Notes the last segment's base. */
export function note(lock: Deno.FsFile, base: number): void {
  if (notedBase(lock) === base) return;
  lock.seekSync(0, Deno.SeekMode.Start);
  writeAll(lock, encoder.encode(String(base).padStart(BASE_DIGITS, "0")));
}

/**
 * Notes behind the base that every record before `next` is durable, after the sync that made it so: whoever builds on
 * such a record need not sync it again. With a checksum, since a reader may meet a note that is being written.
 */
export function noteDurable(lock: Deno.FsFile, next: number): void {
  const digits = encoder.encode(String(next).padStart(BASE_DIGITS, "0"));
  lock.seekSync(BASE_DIGITS, Deno.SeekMode.Start);
  writeAll(lock, encoder.encode(String(next).padStart(BASE_DIGITS, "0") + checksum(digits)));
}

/** The offset before which every record is known to be durable; 0 where nobody noted one. */
function durableBefore(folder: string): number {
  const lock = openIfThere(`${folder}/lock`);
  if (lock === null) return 0;
  using _lock = lock;
  const noted = new Uint8Array(BASE_DIGITS + CRC_DIGITS);
  lock.seekSync(BASE_DIGITS, Deno.SeekMode.Start);
  const read = readFully(lock, noted);
  const digits = noted.subarray(0, BASE_DIGITS);
  const isWhole = read === noted.length && decoder.decode(noted.subarray(BASE_DIGITS)) === checksum(digits);
  return isWhole ? Number(decoder.decode(digits)) : 0;
}

const checksum = (bytes: Uint8Array): string => crc32(bytes).toString(16).padStart(CRC_DIGITS, "0");

/** Opens the file to read it; null where there is none. */
export function openIfThere(path: string): Deno.FsFile | null {
  try {
    return Deno.openSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/**
 * Cuts what a power cut may have left at the end of a partition, and gives the number of bytes: an unfinished line, or
 * everything from the first hole on. A hole is a sector that was never written while a later one was: it reads as zeros,
 * which no line holds. Whoever built on a record synced it before, so that nothing before the last such record is cut.
 *
 * The note of the last segment may be gone as well, and is made again; that of what is durable is not believed any more,
 * since the folder may be a copy of another one.
 *
 * Nobody else may have the partition open: to a reader the end would come back with other lines.
 */
export function recover(folder: string): number {
  const last = segmentsOf(folder).at(-1);
  if (last === undefined) return 0;
  using lock = Deno.openSync(`${folder}/lock`, { create: true, read: true, write: true });
  note(lock, last);
  lock.truncateSync(BASE_DIGITS);
  using file = Deno.openSync(`${folder}/${segmentName(last)}`, { read: true, write: true });
  const { size } = file.statSync();
  const chunk = new Uint8Array(Math.min(size, CHUNK_BYTES));
  // After the last whole line that has no hole before it.
  let end = 0;
  for (let at = 0; at < size;) {
    const bytes = chunk.subarray(0, readFully(file, chunk));
    const hole = bytes.indexOf(0);
    const newline = (hole < 0 ? bytes : bytes.subarray(0, hole)).lastIndexOf(10);
    if (newline >= 0) end = at + newline + 1;
    if (hole >= 0 || bytes.length === 0) break;
    at += bytes.length;
  }
  if (end === size) return 0;
  file.truncateSync(end);
  file.syncSync();
  return size - end;
}

/**
 * Makes what a partition holds before offset `upTo` durable, whoever wrote it, where it is not known to be that already;
 * segments before the last were synced when it was begun.
 */
export async function syncPartition(folder: string, upTo: number): Promise<void> {
  if (upTo <= durableBefore(folder)) return;
  const last = segmentsOf(folder).at(-1);
  if (last === undefined) return;
  using file = await Deno.open(`${folder}/${segmentName(last)}`);
  await file.syncData();
}
