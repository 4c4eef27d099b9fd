/**
 * Recorded captures: a venue's own words, a line each, in a file, plain or gzip.
 *
 * **In** a path and the line to read on from, **Out** frames with the time at which they were received. Each
 * line holds one, in one of the envelopes of `envelope`. Memory is bounded, whatever the file says.
 * **Knows** `envelope`, `failure`.
 */
import { createHash } from "node:crypto";
import { createGunzip } from "node:zlib";
import { type Enveloped, unwrap } from "./envelope.ts";
import { Misuse, Outage, reasonOf } from "./failure.ts";

/** Characters that a line may have; a file with a longer one is not a capture. */
export const LINE_LENGTH_MAX = 16 << 20;
/** Lines handed over at once at most. */
export const BATCH_LINES_MAX = 1_000;
// What one step reads. Deflate makes at most 1,032 times as much of it: 17 MB in memory, then the line's bound counts.
const STEP_BYTES = 16 << 10;

/** One line of a capture. */
export interface CaptureLine extends Enveloped {
  /** Number of the line in the file, from 0. Empty lines and the recorder's notes are counted but not handed over. */
  readonly number: number;
}

/** Lines in order, and the position to resume at once they are dealt with. */
export interface CaptureBatch {
  readonly lines: readonly CaptureLine[];
  /** Lines among them that were the recorder's own notes. */
  readonly notes: number;
  readonly position: number;
}

/**
 * The lines of a capture from position `from` on, 0 being its beginning. An abort ends the stream after the batch in
 * hand. Lines that are whole before a cut are handed over before its error; before a damage inside, zlib keeps the last
 * 16 KiB to itself.
 * @throws {Misuse} when the file is not there, is not gzip though it is named so, or holds a line that is too long
 * @throws {Outage} when gzip data is damaged or cut off, or the disk fails
 */
export async function* readCapture(path: string, from: number, signal: AbortSignal): AsyncGenerator<CaptureBatch> {
  const decoder = new TextDecoder();
  let number = 0;
  // The line that is not whole yet: joined only when it is, or a long one would be copied at every step.
  let rest = "";
  for await (const bytes of stepsOf(path)) {
    if (signal.aborted) return;
    const text = bytes === null ? decoder.decode() : decoder.decode(bytes, { stream: true });
    const whole = text.split("\n");
    whole[0] = rest + whole[0];
    rest = whole.pop()!;
    if (bytes === null && rest !== "") whole.push(rest);
    else checkLength(path, number + whole.length, rest);
    let lines: CaptureLine[] = [];
    let notes = 0;
    for (const line of whole) {
      checkLength(path, number, line);
      if (number >= from && line !== "" && line !== "\r") {
        const enveloped = unwrap(line);
        if (enveloped === null) notes++;
        else lines.push({ number, ...enveloped });
      }
      number++;
      if (lines.length < BATCH_LINES_MAX) continue;
      yield { lines, notes, position: number };
      if (signal.aborted) return;
      lines = [];
      notes = 0;
    }
    if (lines.length > 0 || notes > 0) yield { lines, notes, position: number };
  }
}

/** SHA-256 of the file's bytes as they lie on disk, hex. @throws {Misuse} when the file is not there */
export async function contentHash(path: string): Promise<string> {
  using file = await openFile(path);
  const hash = createHash("sha256");
  for await (const bytes of chunksOf(file, path)) hash.update(bytes);
  return hash.digest("hex");
}

function checkLength(path: string, number: number, line: string): void {
  if (line.length <= LINE_LENGTH_MAX) return;
  throw new Misuse(
    `Cannot read capture "${path}": line ${number + 1} has over ${LINE_LENGTH_MAX} characters, must have at most that`,
  );
}

/** What the file says, step by step, inflated if it is gzip; null at its end. */
async function* stepsOf(path: string): AsyncGenerator<Uint8Array | null> {
  using file = await openFile(path);
  const head = new Uint8Array(2);
  const length = await readSome(file, head, path) ?? 0;
  await file.seek(0, Deno.SeekMode.Start);
  const gzip = length === 2 && head[0] === 0x1f && head[1] === 0x8b;
  if (gzip) yield* inflated(file, path);
  else if (!path.endsWith(".gz")) yield* chunksOf(file, path);
  else throw new Misuse(`Cannot read capture "${path}": byte 0 does not begin a gzip header, must be gzip by its name`);
  yield null;
}

async function* inflated(file: Deno.FsFile, path: string): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  let made: Uint8Array[] = [];
  let damage: Error | undefined;
  let read = 0;
  // A listener instead of the stream's iterator: that one drops what it has made when a damage follows.
  gunzip.on("data", (bytes: Uint8Array) => made.push(bytes));
  const ended = new Promise<void>((resolve) => {
    gunzip.on("end", resolve);
    gunzip.on("error", (error: Error) => {
      damage = error;
      resolve();
    });
  });
  const check = () => {
    if (damage === undefined) return;
    throw new Outage(
      `Cannot read capture "${path}": gzip data is damaged or cut off by byte ${read} (${
        reasonOf(damage)
      }), must be whole`,
    );
  };
  try {
    for await (const bytes of chunksOf(file, path)) {
      read += bytes.length;
      await Promise.race([ended, new Promise<void>((resolve) => gunzip.write(bytes, () => resolve()))]);
      const ready = made;
      made = [];
      yield* ready;
      check();
    }
    gunzip.end();
    await ended;
    yield* made;
    check();
  } finally {
    gunzip.destroy();
  }
}

async function* chunksOf(file: Deno.FsFile, path: string): AsyncGenerator<Uint8Array> {
  for (;;) {
    // A new one each time: who inflates or decodes it may still hold the last.
    const bytes = new Uint8Array(STEP_BYTES);
    const length = await readSome(file, bytes, path);
    if (length === null) return;
    yield bytes.subarray(0, length);
  }
}

async function readSome(file: Deno.FsFile, into: Uint8Array, path: string): Promise<number | null> {
  try {
    return await file.read(into);
  } catch (error) {
    if (error instanceof Deno.errors.IsADirectory) {
      throw new Misuse(`Cannot read capture "${path}": it is a folder, must be a file`, { cause: error });
    }
    throw new Outage(`Cannot read capture "${path}": ${reasonOf(error)}, must be readable`, { cause: error });
  }
}

async function openFile(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path);
  } catch (error) {
    const state = error instanceof Deno.errors.NotFound ? "there is no such file" : reasonOf(error);
    throw new Misuse(`Cannot read capture "${path}": ${state}, must be a readable file`, { cause: error });
  }
}
