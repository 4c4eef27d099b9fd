/**
 * Appends to a partition of the embedded log, together with the writers of other processes: under the partition's
 * advisory lock, whose holder alone cuts a torn tail and begins new segments.
 *
 * Where there is no room an append waits. What it could write stays, up to its last whole line, since readers may have
 * it already. A sync that fails is never asked for again: the system may have dropped what it could not write, and says
 * yes the next time.
 * **In** messages, **Out** offsets. **Knows** `folder`, `partition`, `segment`, `codec`, `transport`, `patience`,
 * `failure`, `world`.
 */
import { checkKey, sizeOf } from "./codec.ts";
import { Outage, reasonOf, Refusal } from "./failure.ts";
import { syncFolder } from "./folder.ts";
import { note, notedBase, noteDurable, readFully, segmentsOf, writeAll } from "./partition.ts";
import { isSound, Lines, segmentName } from "./segment.ts";
import { ofDisk, Patience } from "./patience.ts";
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
  /** The day of a message, or of the line that holds it; null where it has none. A later day begins the next segment. */
  readonly dayOf?: (text: string) => number | null;
  /** Told when a segment was closed, whose successor is there for good. */
  readonly closed?: () => void;
}

const decoder = new TextDecoder();

/** Appends to a partition, together with the writers of other processes. */
export class Writer {
  readonly #folder: string;
  readonly #place: string;
  readonly #bytesMax: number;
  readonly #policy: Policy;
  readonly #manner: Manner;
  readonly #world: World;
  #opened: Deno.FsFile | null = null;
  readonly #lines = new Lines();
  #file: Deno.FsFile | null = null;
  #base = -1;
  #size = 0;
  #next = 0;
  /** The latest day in the segment, as far as it is known. */
  #day: number | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The append in hand: one that waits is not overtaken. */
  #turn: Promise<unknown> = Promise.resolve();
  /** The sync that failed. */
  #unsound: Outage | null = null;

  constructor(folder: string, place: string, bytesMax: number, manner: Manner, world: World) {
    this.#folder = folder;
    this.#place = place;
    this.#bytesMax = bytesMax;
    this.#policy = manner.policy;
    this.#manner = manner;
    this.#world = world;
  }

  get #lock(): Deno.FsFile {
    return this.#opened ??= Deno.openSync(`${this.#folder}/lock`, { create: true, read: true, write: true });
  }

  // deno-lint-ignore require-await -- a misuse rejects, it does not throw
  async append(messages: readonly Message[]): Promise<{ first: number; next: number }> {
    // A UTF-16 unit has at most three bytes, so that only long texts are measured.
    for (const { key, value } of messages) {
      checkKey(key, this.#place);
      if (value.length * 3 > this.#bytesMax) sizeOf(value, this.#place, this.#bytesMax);
    }
    // Nobody holds the messages while they are synced: what lives as long is copied again and again by the collector.
    let waiting: readonly Message[] = messages;
    const act = () => {
      const written = this.#write(waiting);
      waiting = [];
      return written.then((range) => this.#acknowledge(range));
    };
    const appended = this.#turn.then(act, act);
    this.#turn = appended;
    return appended;
  }

  async #write(messages: readonly Message[]): Promise<{ first: number; next: number }> {
    let first = -1;
    let done = 0;
    const patience = new Patience("log", this.#world, (error) => ofDisk(`append to "${this.#place}"`, error));
    const next = await patience.persist(async () => {
      this.assertSound();
      if (!this.#lock.tryLockSync(true)) await this.#lock.lock(true);
      try {
        this.#catchUp();
        if (done === 0) first = this.#next;
        while (done < messages.length) {
          const { lot, day } = this.#lotOf(messages, done);
          const bytes = this.#lines.encode(lot, this.#next);
          const isLater = this.#day !== null && day !== null && day > this.#day;
          if (this.#size > 0 && (isLater || this.#size + bytes.length > this.#manner.segmentBytes)) this.#roll();
          this.#day = day;
          try {
            writeAll(this.#file!, bytes);
          } catch (error) {
            done += this.#cutBack(bytes);
            throw error;
          }
          this.#grow(bytes.length);
          this.#next += lot.length;
          done += lot.length;
        }
        return this.#next;
      } finally {
        this.#lock.unlockSync();
      }
    });
    return { first, next };
  }

  /**
   * The messages from `from` on that one segment may hold by their days, and the latest of these. What comes late, from a
   * day before, goes with the others: a segment is of the day of the latest that it holds.
   */
  #lotOf(
    messages: readonly Message[],
    from: number,
  ): { readonly lot: readonly Message[]; readonly day: number | null } {
    const { dayOf } = this.#manner;
    if (dayOf === undefined) return { lot: from === 0 ? messages : messages.slice(from), day: null };
    let day = this.#day;
    let end = from;
    for (; end < messages.length; end++) {
      const { value } = messages[end]!;
      const each = typeof value === "string" ? dayOf(value) : null;
      if (each === null || (day !== null && each <= day)) continue;
      if (day !== null && end > from) break;
      day = each;
    }
    return { lot: messages.slice(from, end), day };
  }

  /** What was appended is durable as the policy has it. */
  async #acknowledge(range: { first: number; next: number }): Promise<{ first: number; next: number }> {
    if (this.#policy === "batch") await this.sync();
    else if (this.#policy === "interval") {
      // A failure here is told by the next append, sync or close.
      this.#timer ??= setTimeout(() => this.sync().catch(() => {}), FSYNC_INTERVAL_MS);
    }
    return range;
  }

  /** After a write that failed, under the lock: cuts the line that was begun, and gives how many whole ones stay. */
  #cutBack(bytes: Uint8Array): number {
    const written = Math.max(0, this.#file!.statSync().size - this.#size);
    const end = bytes.subarray(0, written).lastIndexOf(10) + 1;
    this.#file!.truncateSync(this.#size + end);
    let lines = 0;
    for (let at = 0; at < end; at = bytes.indexOf(10, at) + 1) lines++;
    this.#grow(end);
    this.#next += lines;
    return lines;
  }

  /** Takes note of bytes of ours, which stay. */
  #grow(bytes: number): void {
    this.#size += bytes;
    this.#world.wrote?.(bytes);
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
      const start = end < 2 ? 0 : added.lastIndexOf(10, end - 2) + 1;
      if (isSound(added, start, end - 1)) break;
      end = start;
      lines--;
    }
    if (end < added.length) {
      this.#world.report(
        `cut ${added.length - end} bytes of an unfinished append after "${this.#place}/${this.#next + lines - 1}"`,
      );
      this.#file!.truncateSync(this.#size + end);
      this.#assured(() => this.#file!.syncSync());
    }
    this.#size += end;
    this.#next += lines;
    const day = this.#dayIn(added.subarray(0, end));
    if (day !== null) this.#day = Math.max(day, this.#day ?? day);
  }

  /** The day of the last one of whole lines that has a day. */
  #dayIn(lines: Uint8Array): number | null {
    const { dayOf } = this.#manner;
    if (dayOf === undefined) return null;
    for (let end = lines.length - 1; end > 0;) {
      const newline = lines.lastIndexOf(10, end - 1);
      const day = dayOf(decoder.decode(lines.subarray(newline + 1, end)));
      if (day !== null) return day;
      end = newline;
    }
    return null;
  }

  /**
   * The last segment's base. A note that names the one in hand saves listing the folder; any other is not believed, since
   * whoever wrote it may have died halfway, or before the segment was there.
   */
  #lastBase(): number | undefined {
    return notedBase(this.#lock) === this.#base ? this.#base : segmentsOf(this.#folder).at(-1);
  }

  /**
   * Opens the last segment, or begins it. It is noted before it is there, so that nobody takes the one before for the last,
   * and its name is durable before it is written to; the note need not be, since whoever opens the log first after a power
   * cut makes it again. Whoever noted or made it may have died before either was.
   */
  #take(base: number): void {
    note(this.#lock, base);
    this.#file?.close();
    this.#file = null;
    this.#base = -1;
    this.#file = Deno.openSync(`${this.#folder}/${segmentName(base)}`, { create: true, read: true, append: true });
    this.#assured(() => syncFolder(this.#folder));
    this.#base = base;
    this.#size = 0;
    this.#next = base;
    this.#day = null;
  }

  /** Begins a new segment; the one before is durable first, so that only the last one ever needs a sync. */
  #roll(): void {
    this.#assured(() => this.#file!.syncDataSync());
    this.#take(this.#next);
    this.#manner.closed?.();
  }

  /** Makes durable what was appended. @throws {Outage} when that failed, now or ever */
  async sync(): Promise<void> {
    this.#timer = undefined;
    this.assertSound();
    if (this.#file === null) return;
    const next = this.#next;
    await this.#file.syncData().catch((error) => this.#distrust(error));
    try {
      noteDurable(this.#lock, next);
    } catch {
      // What is not noted is synced once more by those who build on it.
    }
  }

  /** @throws {Outage} when a sync has failed: what was appended since the one before may be lost */
  assertSound(): void {
    if (this.#unsound !== null) throw this.#unsound;
  }

  #assured(sync: () => void): void {
    try {
      sync();
    } catch (error) {
      this.#distrust(error);
    }
  }

  #distrust(error: unknown): never {
    throw this.#unsound = new Outage(
      `Cannot sync "${this.#place}": ${reasonOf(error)}, must be on a disk that keeps what it takes`,
      { cause: error },
    );
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      await this.sync();
    } finally {
      this.#file?.close();
      this.#opened?.close();
    }
  }
}
