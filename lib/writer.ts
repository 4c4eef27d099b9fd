/**
 * Appends to a partition of the embedded log, together with the writers of other processes: under the partition's
 * advisory lock, whose holder alone cuts a torn tail and begins new segments.
 *
 * **In** messages, **Out** offsets. **Knows** `folder`, `partition`, `segment`, `codec`, `transport`, `failure`, `world`.
 */
import { checkKey, sizeOf } from "./codec.ts";
import { Outage, reasonOf, Refusal } from "./failure.ts";
import { syncFolder } from "./folder.ts";
import { note, notedBase, readFully, segmentsOf, writeAll } from "./partition.ts";
import { isSound, Lines, segmentName } from "./segment.ts";
import type { Message } from "./transport.ts";
import type { World } from "./world.ts";

/** How long an append may wait for its sync under the policy `interval`. */
export const FSYNC_INTERVAL_MS = 100;
/** When an append is made durable: before its acknowledgement, within the interval, or when the system likes. */
export const POLICIES = ["batch", "interval", "never"] as const;
export type Policy = typeof POLICIES[number];

/** How a log is written. A segment is closed, and the next begun, before it has more than `segmentBytes`. */
export interface Manner {
  readonly policy: Policy;
  readonly segmentBytes: number;
}

/** Appends to a partition, together with the writers of other processes. */
export class Writer {
  readonly #folder: string;
  readonly #place: string;
  readonly #bytesMax: number;
  readonly #policy: Policy;
  readonly #segmentBytes: number;
  readonly #world: World;
  readonly #lock: Deno.FsFile;
  readonly #lines = new Lines();
  #file: Deno.FsFile | null = null;
  #base = -1;
  #size = 0;
  #next = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(folder: string, place: string, bytesMax: number, { policy, segmentBytes }: Manner, world: World) {
    this.#folder = folder;
    this.#place = place;
    this.#bytesMax = bytesMax;
    this.#policy = policy;
    this.#segmentBytes = segmentBytes;
    this.#world = world;
    this.#lock = Deno.openSync(`${folder}/lock`, { create: true, read: true, write: true });
  }

  async append(messages: readonly Message[]): Promise<{ first: number; next: number }> {
    // A UTF-16 unit has at most three bytes, so that only long texts are measured.
    for (const { key, value } of messages) {
      checkKey(key, this.#place);
      if (value.length * 3 > this.#bytesMax) sizeOf(value, this.#place, this.#bytesMax);
    }
    if (!this.#lock.tryLockSync(true)) await this.#lock.lock(true);
    let first: number;
    try {
      this.#catchUp();
      first = this.#next;
      const bytes = this.#lines.encode(messages, first);
      if (this.#size > 0 && this.#size + bytes.length > this.#segmentBytes) this.#roll();
      try {
        writeAll(this.#file!, bytes);
      } catch (error) {
        // What was written stays: somebody may have read whole lines of it. The next append cuts the one that is not.
        throw new Outage(`Cannot append to "${this.#place}": ${reasonOf(error)}, must have room`);
      }
      this.#size += bytes.length;
      this.#next += messages.length;
    } finally {
      this.#lock.unlockSync();
    }
    if (this.#policy === "batch") await this.#sync();
    else if (this.#policy === "interval") this.#timer ??= setTimeout(() => this.#sync(), FSYNC_INTERVAL_MS);
    return { first, next: first + messages.length };
  }

  /** Under the lock: takes in what others appended, and cuts what somebody left unfinished. */
  #catchUp(): void {
    const base = this.#lastBase();
    if (base === undefined) return this.#take(0);
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

  /**
   * Opens the last segment, or begins it. Its note is durable before it is there, so that nobody takes the one before for
   * the last, and its name before it is written to. Whoever noted or made it may have died before either was.
   */
  #take(base: number): void {
    note(this.#lock, base);
    this.#file?.close();
    this.#file = Deno.openSync(`${this.#folder}/${segmentName(base)}`, { create: true, read: true, append: true });
    syncFolder(this.#folder);
    this.#base = base;
    this.#size = 0;
    this.#next = base;
  }

  /** Begins a new segment; the one before is durable first, so that only the last one ever needs a sync. */
  #roll(): void {
    this.#file!.syncDataSync();
    this.#take(this.#next);
  }

  /** Makes durable what was appended. */
  async #sync(): Promise<void> {
    this.#timer = undefined;
    await this.#file?.syncData();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#sync();
    this.#file?.close();
    this.#lock.close();
  }
}
