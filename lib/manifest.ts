/**
 * The manifest of a partition of frames: `manifest.jsonl` beside its segments says what each of them held when it was
 * closed, and which expired. It only grows, in the log's own format, so that each of its lines has a checksum:
 *
 *     {"crc":"9f86d081","offset":0,"key":null,"value":{"closed":{"first":0,"last":1199,"bytes":531201,…}}}
 *     {"crc":"60303ae2","offset":1,"key":null,"value":{"expired":{"first":0,"at":…,"before":…}}}
 *
 * A closed segment that it does not name, since somebody died first, is noted by whoever comes next.
 * **In** a partition's folder, **Out** what it says. **Knows** `frames`, `folder`, `partition`, `segment`, `failure`.
 */
import { z } from "@zod/zod";
import { reasonOf, Refusal } from "./failure.ts";
import { syncFolder } from "./folder.ts";
import { type Held, HeldForm, summarise } from "./manifest/summary.ts";
import { readFully, segmentsOf, writeAll } from "./partition.ts";
import { decodeLines, Lines } from "./segment.ts";

export type { Held };

const Expired = z.strictObject({
  /** The segment's first offset. */
  first: z.int().min(0),
  /** When it was given up, µs since the epoch. */
  at: z.int().min(0),
  /** All of its frames had come before, µs since the epoch. */
  before: z.int().min(0),
});
export type Expired = z.infer<typeof Expired>;

const Line = z.union([z.strictObject({ closed: HeldForm }), z.strictObject({ expired: Expired })]);
type Line = z.infer<typeof Line>;

/** A manifest as it is; nobody changes it while it is open. */
export class Manifest implements Disposable {
  /** What closed segments held, by their first offset. */
  readonly closed = new Map<number, Held>();
  readonly expired = new Map<number, Expired>();
  readonly #folder: string;
  readonly #file: Deno.FsFile | null;
  #lines = 0;
  /** Bytes of whole lines; what lies behind them was never finished. */
  #end = 0;

  private constructor(folder: string, place: string, file: Deno.FsFile | null) {
    this.#folder = folder;
    this.#file = file;
    if (file !== null) this.#read(file, place);
  }

  /** Opens it to look. @throws {Refusal} naming the line that is not as it was written */
  static look(folder: string, place: string): Promise<Manifest> {
    return Manifest.#open(folder, place, { read: true });
  }

  /** Opens it to add to it, alone. @throws {Refusal} as {@linkcode Manifest.look} */
  static take(folder: string, place: string): Promise<Manifest> {
    return Manifest.#open(folder, place, { read: true, append: true, create: true });
  }

  static async #open(folder: string, place: string, how: Deno.OpenOptions): Promise<Manifest> {
    let file: Deno.FsFile | null = null;
    try {
      file = await Deno.open(`${folder}/manifest.jsonl`, how);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    try {
      await file?.lock(how.append === true);
      return new Manifest(folder, `${place}/manifest`, file);
    } catch (error) {
      file?.close();
      throw error;
    }
  }

  #read(file: Deno.FsFile, place: string): void {
    const all = new Uint8Array(file.statSync().size);
    const bytes = all.subarray(0, readFully(file, all));
    // Zeros are what a power cut leaves of a line that nobody has built on.
    const hole = bytes.indexOf(0);
    const { records, length } = decodeLines(hole < 0 ? bytes : bytes.subarray(0, hole), place, 0, Infinity);
    for (const { offset, value } of records) {
      const line = Line.safeParse(JSON.parse(String(value))).data;
      if (line === undefined) {
        throw new Refusal(
          `Cannot read record "${place}/${offset}": is no entry of a manifest, must be as it was written`,
        );
      }
      this.#hold(line);
    }
    this.#lines = records.length;
    this.#end = length;
  }

  #hold(line: Line): void {
    if ("closed" in line) this.closed.set(line.closed.first, line.closed);
    else this.expired.set(line.expired.first, line.expired);
  }

  /** Adds a line, which is durable then. Only for who has taken it. */
  add(line: Line): void {
    const file = this.#file!;
    if (file.statSync().size > this.#end) file.truncateSync(this.#end);
    const bytes = new Lines().encode([{ key: null, value: JSON.stringify(line) }], this.#lines);
    writeAll(file, bytes);
    file.syncSync();
    syncFolder(this.#folder);
    this.#lines++;
    this.#end += bytes.length;
    this.#hold(line);
  }

  [Symbol.dispose](): void {
    this.#file?.close();
  }
}

/**
 * Notes each closed segment that the manifest does not name yet; `place` is the partition's name. Gives a reason for each
 * that cannot be noted, since it is damaged. @throws {Refusal} when the manifest itself is damaged
 */
export async function noteClosed(folder: string, place: string): Promise<readonly string[]> {
  const bases = segmentsOf(folder);
  const reasons: string[] = [];
  const isNoted = async (base: number): Promise<boolean> => {
    using manifest = await Manifest.look(folder, place);
    return manifest.closed.has(base);
  };
  // A segment is closed for good once the name of the next one is durable.
  if (bases.length > 1) syncFolder(folder);
  for (const [i, base] of bases.slice(0, -1).entries()) {
    if (await isNoted(base)) continue;
    try {
      const held = await closedAt(folder, place, base, bases[i + 1]!);
      using manifest = await Manifest.take(folder, place);
      if (!manifest.closed.has(base)) manifest.add({ closed: held });
    } catch (error) {
      // Noted and expired meanwhile.
      if (error instanceof Deno.errors.NotFound) continue;
      if (!(error instanceof Refusal)) throw error;
      reasons.push(reasonOf(error));
    }
  }
  return reasons;
}

/** What a closed segment holds. @throws {Refusal} when it is damaged, or does not reach the one that follows */
export async function closedAt(folder: string, place: string, base: number, following: number): Promise<Held> {
  const { held, rest } = await summarise(folder, place, base);
  if (rest > 0 || held.last + 1 !== following) {
    throw new Refusal(
      `Cannot read records "${place}/${held.last + 1}" to ${
        following - 1
      }: their segment ends before them, must hold them`,
    );
  }
  return held;
}
