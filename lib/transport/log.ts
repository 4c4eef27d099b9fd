/**
 * The embedded log, `log:<folder>[?fsync=batch|interval|never&segment=BYTES]`: topics of partitions of append-only segment files that
 * several processes on one machine write and read at once.
 *
 * An append takes the partition's advisory lock; only the lock's holder cuts a torn tail. Readers are woken by the file
 * system. Group offsets and epochs lie in a Deno KV per group, checkpoints in files (a KV value ends at 64 KiB).
 * **In**, **Out** see the door. **Knows** `transport`, `folder`, `partition`, `cursor`, `writer`, `waker`, `member`,
 * `frames`, `manifest`, `patience`, `failure`, `world`.
 */
import { dirname } from "node:path";
import { Misuse, Outage, reasonOf, Refusal } from "../failure.ts";
import { Member, readerOf } from "../member.ts";
import { Cursor } from "../cursor.ts";
import { makeFolder, syncFolder } from "../folder.ts";
import { dayOf, FRAMES } from "../frames.ts";
import { noteClosed } from "../manifest.ts";
import { rangeOf, recover, syncPartition, writeAll } from "../partition.ts";
import type { Batch, Checkpoint, LogRecord, Message, Range, ReceiveOptions, Topic, Transport } from "../transport.ts";
import { type Finding, ofDisk, Patience } from "../patience.ts";
import { Waker } from "../waker.ts";
import { FSYNC_INTERVAL_MS, type Manner, POLICIES, type Policy, Writer } from "../writer.ts";
import { assertFits, fenced, messageBytesMax } from "../transport.ts";
import type { World } from "../world.ts";

/** Version of the files; a program refuses to open a log that says a newer one. */
export const FORMAT = 1;
const BATCH_MAX = 3072;
/** How long an acknowledgement may wait to be written; until then a crash repeats what it covers. */
const ACKNOWLEDGE_MS = 250;
/** How old a batch's word on how far its reader is behind may be. */
const LOOK_MS = 250;
/** Longer than any note of a holder, so that the next one covers it whole. */
const HOLDER_LENGTH = 63;
const SEGMENT_BYTES = 64 << 20;

/** Opens the log in a folder, creating it at first. @throws {Refusal} for a newer format, {Misuse} for a bad URL */
// deno-lint-ignore require-await -- what is wrong rejects, it does not throw
export async function open(url: string, world: World): Promise<Transport> {
  const [path, query] = url.slice("log:".length).split("?", 2);
  const wanted = new URLSearchParams(query);
  const policy = (wanted.get("fsync") ?? "batch") as Policy;
  const segment = wanted.get("segment") ?? String(SEGMENT_BYTES);
  if (!path) throw new Misuse(`Cannot open log "${url}": names no folder, must be log:FOLDER`);
  if (!POLICIES.includes(policy)) {
    throw new Misuse(`Cannot open log "${url}": fsync is "${policy}", must be one of ${POLICIES.join(", ")}`);
  }
  if (!/^[1-9]\d{2,9}$/.test(segment)) {
    throw new Misuse(`Cannot open log "${url}": segment is "${segment}", must be a number of bytes from 100 on`);
  }
  const manner = { policy, segmentBytes: Number(segment) };
  return patienceWith(`open log "${path}"`, world).persist(() => {
    if (world.isLooking) {
      // One that is missing would be made.
      Deno.statSync(`${path}/log.json`);
      return new Log(path, identify(`${path}/log.json`), manner, null, world);
    }
    Deno.mkdirSync(path, { recursive: true });
    return new Log(path, identify(`${path}/log.json`), manner, present(path, world.report), world);
  });
}

function patienceWith(action: string, world: World): Patience {
  return new Patience("log", world, (error) => ofKv(action, error) ?? ofDisk(action, error));
}

/** What a failure of a group's KV means, which tells it in SQLite's words alone; null for any other. */
function ofKv(action: string, error: unknown): Finding | null {
  const reason = reasonOf(error);
  const says = (wanted: string): string => `Cannot ${action}: ${reason}, must ${wanted}`;
  if (/disk is full/.test(reason)) return { error: new Outage(says("have room"), { cause: error }), passes: true };
  if (/disk I\/O error/.test(reason)) return { error: new Outage(says("be on a disk that works")), passes: false };
  if (/readonly database|unable to open database/.test(reason)) {
    return { error: new Misuse(says("lie where it may be written")), passes: false };
  }
  return null;
}

/**
 * Makes this process seen among those that have the log open. The first one mends what a power cut has left, before
 * anybody reads it: that all are gone is what a power cut and a crash have in common.
 */
function present(path: string, report: (line: string) => void): Deno.FsFile {
  const alone = Deno.openSync(`${path}/open`, { create: true, read: true, write: true });
  try {
    if (alone.tryLockSync(true)) mend(path, report);
  } finally {
    alone.close();
  }
  const presence = Deno.openSync(`${path}/open`);
  presence.lockSync(false);
  return presence;
}

/** Cuts what never reached the disk off every partition. */
function mend(path: string, report: (line: string) => void): void {
  for (const topic of foldersIn(path)) {
    for (const partition of foldersIn(`${path}/${topic}`)) {
      const cut = recover(`${path}/${topic}/${partition}`);
      if (cut > 0) report(`cut ${cut} bytes of unfinished appends after the end of "${topic}/${partition}"`);
    }
  }
}

function foldersIn(path: string): readonly string[] {
  return Array.from(Deno.readDirSync(path)).filter((entry) => entry.isDirectory).map(({ name }) => name);
}

/** The identity that the file holds; made by whoever comes first. */
function identify(path: string, extra: Record<string, unknown> = {}): { id: string } & Record<string, unknown> {
  const folder = dirname(path);
  try {
    const identity = JSON.parse(Deno.readTextFileSync(path));
    if (identity.format > FORMAT) {
      throw new Refusal(`Cannot open log file "${path}": its format is ${identity.format}, must be at most ${FORMAT}`);
    }
    // Whoever made it may have died before its name was durable, and stores are about to remember it.
    syncFolder(folder);
    return identity;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const draft = `${path}.${crypto.randomUUID()}`;
  const file = Deno.openSync(draft, { createNew: true, write: true });
  try {
    {
      using _file = file;
      const identity = JSON.stringify({ format: FORMAT, id: crypto.randomUUID(), ...extra });
      writeAll(file, new TextEncoder().encode(identity + "\n"));
      file.syncSync();
    }
    Deno.linkSync(draft, path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  } finally {
    Deno.removeSync(draft);
  }
  return identify(path);
}

class Log implements Transport {
  readonly describes: string;
  readonly version: string;
  readonly #path: string;
  readonly #id: string;
  readonly #manner: Manner;
  readonly #world: World;
  readonly #writers = new Map<string, Writer>();
  readonly #noted = new Map<string, { readonly group: string; readonly key: Deno.KvKey; readonly next: number }>();
  /** Locked for as long as the log is open; null for who only looks, so that the next one mends all the same. */
  readonly #presence: Deno.FsFile | null;
  /** Whether the folder of checkpoints is there for good. */
  #keepsCheckpoints = false;
  #isClosed = false;
  #writing: Promise<void> = Promise.resolve();
  #noting: ReturnType<typeof setTimeout> | undefined;
  /** Whether the last note could not be written, which is said once. */
  #unnoted = false;
  readonly #ledgers = new Map<string, Promise<Deno.Kv>>();
  /** The closed segments that are being noted in their manifests. */
  #closing: Promise<void> = Promise.resolve();

  constructor(
    path: string,
    identity: { id: string; format?: unknown },
    manner: Manner,
    presence: Deno.FsFile | null,
    world: World,
  ) {
    this.#path = path;
    this.#presence = presence;
    this.#id = identity.id;
    this.version = `format ${identity.format}`;
    this.#manner = manner;
    this.#world = world;
    const durable = {
      batch: "synced before",
      interval: `synced within ${FSYNC_INTERVAL_MS} ms of`,
      never: "left to the system at",
    };
    this.describes = `log in ${path}, fsync ${manner.policy}: appends are ${
      durable[manner.policy]
    } their acknowledgement`;
  }

  async create(topic: string, partitions: number): Promise<void> {
    const made = await patienceWith(`create topic "${topic}"`, this.#world).persist(() => {
      makeFolder(`${this.#path}/${topic}`, this.#path);
      // Before the file that says how many there are.
      for (let p = 0; p < partitions; p++) makeFolder(`${this.#path}/${topic}/${p}`, this.#path);
      return identify(`${this.#path}/${topic}/topic.json`, { partitions });
    });
    if (made.partitions !== partitions) {
      throw new Refusal(
        `Cannot create topic "${topic}": it has ${made.partitions} partitions, must have ${partitions}`,
      );
    }
  }

  /** Read anew each time: somebody may have removed the topic's folder, and made another one. */
  #topic(topic: string): { readonly id: string; readonly partitions: number } {
    try {
      Deno.statSync(`${this.#path}/${topic}/topic.json`);
    } catch {
      throw new Misuse(
        `Cannot use topic "${topic}": it does not exist in ${this.#path}, must be created with deno task prepare --partitions N on the same --data`,
      );
    }
    return identify(`${this.#path}/${topic}/topic.json`) as unknown as { id: string; partitions: number };
  }

  // deno-lint-ignore require-await
  async topic(topic: string): Promise<Topic> {
    const { id, partitions } = this.#topic(topic);
    return { identity: `${this.#id}/${id}`, partitions };
  }

  // deno-lint-ignore require-await
  async ranges(topic: string): Promise<readonly Range[]> {
    const { partitions } = this.#topic(topic);
    return Array.from({ length: partitions }, (_, p) => rangeOf(this.#folder(topic, p)));
  }

  #folder(topic: string, partition: number): string {
    return `${this.#path}/${topic}/${partition}`;
  }

  folders(topic: string): readonly string[] {
    return Array.from({ length: this.#topic(topic).partitions }, (_, p) => this.#folder(topic, p));
  }

  #writer(topic: string, partition: number): Writer {
    const name = `${topic}/${partition}`;
    let writer = this.#writers.get(name);
    if (writer === undefined) {
      this.#topic(topic);
      const folder = this.#folder(topic, partition);
      const manner = topic === FRAMES
        ? { ...this.#manner, dayOf, closed: () => this.#noteClosed(folder, name) }
        : this.#manner;
      writer = new Writer(folder, name, messageBytesMax(topic), manner, this.#world);
      this.#writers.set(name, writer);
    }
    return writer;
  }

  /** Beside the appends, which must not wait for it; what could not be noted is noted with the next one. */
  #noteClosed(folder: string, name: string): void {
    const tell = (reason: string): void => this.#world.report(`cannot note a closed segment of "${name}": ${reason}`);
    this.#closing = this.#closing.then(() => noteClosed(folder, name)).then(
      (damages) => damages.forEach(tell),
      (error) => tell(reasonOf(error)),
    );
  }

  append(topic: string, partition: number, messages: readonly Message[]): Promise<{ first: number; next: number }> {
    return this.#writer(topic, partition).append(messages);
  }

  /** @throws {Outage} where it fails; not tried again, as a second sync may say yes to what the first one lost */
  async sync(topic: string, partition: number, upTo = Infinity): Promise<void> {
    const name = `${topic}/${partition}`;
    this.#writers.get(name)?.assertSound();
    await syncPartition(this.#folder(topic, partition), upTo).catch((error) => {
      throw ofDisk(`sync "${name}"`, error).error;
    });
  }

  async *read(
    topic: string,
    partition: number,
    from: number,
    to: number,
    signal?: AbortSignal,
  ): AsyncGenerator<LogRecord[]> {
    this.#topic(topic);
    const cursor = new Cursor(this.#folder(topic, partition), `${topic}/${partition}`, from);
    try {
      while (cursor.next < to && !signal?.aborted) {
        const records = cursor.take(Math.min(BATCH_MAX, to - cursor.next));
        if (records.length === 0) return;
        yield records;
        await Promise.resolve();
      }
    } finally {
      cursor.close();
    }
  }

  async *receive<Topic extends string>(options: ReceiveOptions<Topic>): AsyncGenerator<Batch> {
    const { topics, group, signal, drain } = options;
    const seats = topics.flatMap((topic) =>
      Array.from(
        { length: this.#topic(topic).partitions },
        (_, partition) => ({ topic, partition, name: `${topic}/${partition}` }),
      )
    );
    const folder = `${this.#path}/_groups/${group}`;
    const joining = patienceWith(`join group "${group}"`, this.#world);
    const member = await joining.persist(() => Member.join(folder));
    const waker = new Waker([folder, ...topics.map((topic) => `${this.#path}/${topic}`)], [signal, drain]);
    const cursors = new Map<string, Cursor & { readonly seat: typeof seats[number]; high: number; lookedAt: number }>();
    const drained = new Map<string, number>();
    const snapshot = (): void => {
      for (const seat of seats) drained.set(seat.name, rangeOf(this.#folder(seat.topic, seat.partition)).high);
    };
    if (drain?.aborted) snapshot();
    else drain?.addEventListener("abort", snapshot);
    let turn = 0;
    try {
      while (!signal.aborted) {
        if (this.#noted.size > 0 && waker.membership) await this.#writeNoted();
        const leave = async (name: string): Promise<void> => {
          const { seat } = cursors.get(name)!;
          cursors.get(name)!.close();
          cursors.delete(name);
          await options.stop?.(seat.topic, seat.partition);
        };
        const { taken, settled } = await joining.persist(() => member.share(seats.map((seat) => seat.name), leave));
        for (const name of taken) {
          const seat = seats.find((s) => s.name === name)!;
          const range = rangeOf(this.#folder(seat.topic, seat.partition));
          const next = options.start
            ? await options.start(seat.topic, seat.partition, range)
            : Math.max(range.low, await this.#offset(group, seat.topic, seat.partition) ?? range.low);
          const cursor = Object.assign(new Cursor(this.#folder(seat.topic, seat.partition), name, next), {
            seat,
            high: range.high,
            lookedAt: this.#world.now(),
          });
          cursors.set(name, cursor);
        }
        waker.membership = false;
        const list = [...cursors.values()];
        let idle = 0;
        while (idle < list.length && !signal.aborted && !waker.membership) {
          const cursor = list[turn++ % list.length]!;
          const end = drained.get(cursor.seat.name) ?? Infinity;
          const records = cursor.take(Math.min(options.batchMax ?? BATCH_MAX, end - cursor.next));
          if (records.length === 0) {
            idle++;
            continue;
          }
          idle = 0;
          const { topic, partition } = cursor.seat;
          const next = cursor.next;
          // Looking for the end costs as much as a small batch, and is only for lag.
          if (next > cursor.high) cursor.high = next;
          if (this.#world.now() - cursor.lookedAt >= LOOK_MS) {
            cursor.high = rangeOf(this.#folder(topic, partition)).high;
            cursor.lookedAt = this.#world.now();
          }
          yield {
            topic,
            partition,
            records,
            next,
            high: cursor.high,
            ack: () => this.#acknowledge(group, topic, partition, next),
          };
        }
        if (signal.aborted || waker.membership) continue;
        if (drained.size > 0 && settled && list.every((c) => c.next >= drained.get(c.seat.name)!)) return;
        await waker.wait();
      }
    } finally {
      drain?.removeEventListener("abort", snapshot);
      waker.close();
      await this.#writeNoted();
      for (const cursor of cursors.values()) cursor.close();
      member.leave();
    }
  }

  /** The group's KV. A file of its own a group: several groups in one file would meet its write lock. */
  #kv(group: string): Promise<Deno.Kv> {
    let kv = this.#ledgers.get(group);
    if (kv === undefined) {
      Deno.mkdirSync(`${this.#path}/_groups/${group}`, { recursive: true });
      kv = Deno.openKv(`${this.#path}/_groups/${group}/offsets.kv`);
      this.#ledgers.set(group, kv);
      kv.catch(() => this.#ledgers.delete(group));
    }
    return kv;
  }

  async #offset(group: string, topic: string, partition: number): Promise<number | null> {
    return (await (await this.#kv(group)).get<number>(["offset", topic, partition])).value;
  }

  async acknowledged(group: string, topic: string, partition: number): Promise<number | null> {
    try {
      await Deno.stat(`${this.#path}/_groups/${group}/offsets.kv`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
    return await this.#offset(group, topic, partition);
  }

  /**
   * Notes how far a group has come. It is written now and then, since a commit of its own a batch would cost more than
   * the batch; a reader that leaves writes what it noted.
   */
  #acknowledge(group: string, topic: string, partition: number, next: number): Promise<void> {
    // A stage that was stopped may still put down its batch when the log is closed already.
    if (this.#isClosed) return Promise.resolve();
    this.#noted.set(`${group} ${topic}/${partition}`, { group, key: ["offset", topic, partition], next });
    this.#noting ??= setTimeout(() => this.#writeNoted(), ACKNOWLEDGE_MS);
    return Promise.resolve();
  }

  /** One after another, so that a close waits for the one that a timer began. */
  #writeNoted(): Promise<void> {
    const write = () => this.#writeNow();
    return this.#writing = this.#writing.then(write, write);
  }

  async #writeNow(): Promise<void> {
    clearTimeout(this.#noting);
    this.#noting = undefined;
    const noted = [...this.#noted];
    this.#noted.clear();
    for (const [group, marks] of Map.groupBy(noted, ([, { group }]) => group)) {
      try {
        const kv = await this.#kv(group);
        const all = kv.atomic();
        for (const [, { key, next }] of marks) all.set(key, next);
        await unlocked(() => all.commit());
        this.#unnoted = false;
      } catch (error) {
        // Without it the group reads some of its records again; the stores know what they have applied.
        for (const [name, mark] of marks) if (!this.#noted.has(name)) this.#noted.set(name, mark);
        if (this.#unnoted) continue;
        this.#unnoted = true;
        this.#world.report(`group ${group} cannot note how far it has come: ${reasonOf(error)}`);
      }
    }
  }

  claim(stage: string, partition: number): Promise<{ epoch: number; checkpoint: Checkpoint | null }> {
    return patienceWith(`claim checkpoint "${stage}/${partition}"`, this.#world).persist(() =>
      this.#claim(stage, partition)
    );
  }

  async #claim(stage: string, partition: number): Promise<{ epoch: number; checkpoint: Checkpoint | null }> {
    const kv = await this.#kv(stage);
    using lock = await this.#checkpointLock(stage, partition);
    const checkpoint = await this.load(stage, partition);
    // Whoever saved it may have failed to make its name durable, and who finds nothing left to do saves no other.
    if (checkpoint !== null) syncFolder(`${this.#path}/checkpoint`);
    const last = (await kv.get<number>(["epoch", partition])).value ?? 0;
    const epoch = Math.max(last, checkpoint?.epoch ?? 0) + 1;
    // For people alone, so that it need not be of one commit with the epoch; in a file, which who looks need not open to write.
    const holder = JSON.stringify({ epoch, since: this.#world.now() });
    writeAll(lock.file, new TextEncoder().encode(`${holder.padEnd(HOLDER_LENGTH)}\n`));
    await unlocked(() => kv.set(["epoch", partition], epoch));
    return { epoch, checkpoint };
  }

  save(stage: string, partition: number, checkpoint: Checkpoint): Promise<void> {
    return patienceWith(`save checkpoint "${stage}/${partition}"`, this.#world).persist(() =>
      this.#save(stage, partition, checkpoint)
    );
  }

  /** Each try writes a file of its own from the start, so that a failed sync is not asked for again. */
  async #save(stage: string, partition: number, checkpoint: Checkpoint): Promise<void> {
    assertFits(`${stage}/${partition}`, checkpoint);
    const kv = await this.#kv(stage);
    using _lock = await this.#checkpointLock(stage, partition);
    const epoch = (await kv.get<number>(["epoch", partition])).value ?? 0;
    if (epoch !== checkpoint.epoch) {
      const holder = await this.holder(stage, partition);
      throw fenced(`${stage}/${partition}`, checkpoint.epoch, { epoch, since: holder?.since ?? 0 });
    }
    const path = this.#checkpointPath(stage, partition);
    {
      using file = await Deno.open(`${path}.new`, { create: true, write: true, truncate: true });
      writeAll(file, new TextEncoder().encode(JSON.stringify(checkpoint)));
      await file.sync();
    }
    await Deno.rename(`${path}.new`, path);
    syncFolder(`${this.#path}/checkpoint`);
  }

  async load(stage: string, partition: number): Promise<Checkpoint | null> {
    try {
      return JSON.parse(await Deno.readTextFile(this.#checkpointPath(stage, partition)));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  /** Whoever made the epoch before it was noted, or died while noting it, is known by the checkpoint alone. */
  async holder(stage: string, partition: number): Promise<{ epoch: number; since: number } | null> {
    try {
      return JSON.parse(await Deno.readTextFile(this.#lockPath(stage, partition)));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof SyntaxError)) throw error;
      const checkpoint = await this.load(stage, partition);
      return checkpoint === null ? null : { epoch: checkpoint.epoch, since: 0 };
    }
  }

  async savedAt(stage: string, partition: number): Promise<number | null> {
    try {
      return (await Deno.stat(this.#checkpointPath(stage, partition))).mtime?.getTime() ?? null;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  reader(group: string, topic: string, partition: number): Promise<{ readonly pid: number | null } | null> {
    return Promise.resolve(readerOf(`${this.#path}/_groups/${group}`, `${topic}/${partition}`));
  }

  #lockPath(stage: string, partition: number): string {
    return `${this.#path}/checkpoint/${stage}-${partition}.lock`;
  }

  #checkpointPath(stage: string, partition: number): string {
    return `${this.#path}/checkpoint/${stage}-${partition}.json`;
  }

  async #checkpointLock(stage: string, partition: number): Promise<Disposable & { readonly file: Deno.FsFile }> {
    if (!this.#keepsCheckpoints) makeFolder(`${this.#path}/checkpoint`, this.#path);
    this.#keepsCheckpoints = true;
    const file = await Deno.open(this.#lockPath(stage, partition), { create: true, write: true });
    await file.lock(true);
    return { file, [Symbol.dispose]: () => file.close() };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#writeNoted();
    const closed = await Promise.allSettled([...this.#writers.values()].map((writer) => writer.close()));
    await this.#closing;
    for (const kv of this.#ledgers.values()) (await kv).close();
    this.#presence?.close();
    for (const result of closed) if (result.status === "rejected") throw result.reason;
  }
}

/** Deno KV answers "database is locked" at once where SQLite would wait; nothing is lost by asking again. */
async function unlocked<T>(commit: () => Promise<T>): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await commit();
    } catch (error) {
      if (attempt === 100 || !reasonOf(error).includes("locked")) throw error;
      await new Promise((resolve) => setTimeout(resolve, attempt));
    }
  }
}
