/**
 * The two ways to read: as a member of a group, for ever or until drained, and as a bounded scan.
 *
 * A reader fetches when it has nothing left to hand over, so it holds one answer of each broker and the batch in hand.
 * `start` is asked between two batches, never while one is in hand.
 * **In** positions, **Out** batches. **Knows** `source`, `group`, `outage`, `transport`, `failure`, `world`.
 */
import { Refusal } from "../../failure.ts";
import type { Batch, LogRecord, ReceiveOptions, Transport } from "../../transport.ts";
import type { World } from "../../world.ts";
import type { Address } from "./address.ts";
import { type Assignment, Member } from "./group.ts";
import type { Patience } from "../../patience.ts";
import { patienceWith } from "./outage.ts";
import { type Chunk, type Position, Source } from "./source.ts";

const BATCH_MAX = 5_000;
/** How long a broker may wait for a first record. */
const WAIT_MS = 200;

/** A partition of this reader: where it fetches next, what it has handed over, and where a drain ends. */
interface Place extends Position {
  offset: number;
  delivered: number;
}

const nameOf = ({ topic, partition }: { readonly topic: string; readonly partition: number }) =>
  `${topic}/${partition}`;

/** One reader of a group. `control` answers what the topics hold, on a connection of its own. */
export class Reader<Name extends string> {
  readonly #options: ReceiveOptions<Name>;
  readonly #control: Source;
  readonly #topic: Transport["topic"];
  /** Of each topic, as it was when this reader began. */
  readonly #identities = new Map<string, string>();
  readonly #address: Address;
  readonly #world: World;
  readonly #what: string;
  readonly #patience: Patience;
  readonly #source: Source;
  #bell = Promise.withResolvers<void>();
  readonly #ring = (): void => this.#bell.resolve();
  readonly #fetching = new Set<string>();
  #member: Member | null = null;
  /** The assignment that the places belong to. */
  #generation = 0;
  #places: ReadonlyMap<string, Place> = new Map();
  /** Partitions that `start` was asked for, until `stop` is told. */
  readonly #started = new Map<string, { readonly topic: string; readonly partition: number }>();
  #queue: { readonly chunk: Chunk; at: number }[] = [];
  #failure: unknown = null;
  #asked: Promise<ReadonlyMap<string, number>> | null = null;
  #ends: ReadonlyMap<string, number> | null = null;

  constructor(
    options: ReceiveOptions<Name>,
    control: Source,
    topic: Transport["topic"],
    address: Address,
    world: World,
  ) {
    this.#options = options;
    this.#control = control;
    this.#topic = topic;
    this.#address = address;
    this.#world = world;
    this.#what = `receive ${options.topics.map((topic) => `"${topic}"`).join(", ")}`;
    this.#patience = patienceWith(this.#what, address, world);
    this.#source = new Source(address);
  }

  async *batches(): AsyncGenerator<Batch> {
    const { signal, drain } = this.#options;
    const onDrain = (): void => {
      // Asked for when the drain fires, not when the reader comes round to it.
      this.#asked = this.#endsNow();
      this.#asked.catch(this.#ring);
      this.#ring();
    };
    if (drain?.aborted) onDrain();
    else drain?.addEventListener("abort", onDrain);
    signal.addEventListener("abort", this.#ring);
    try {
      while (!signal.aborted) {
        if (this.#asked !== null) this.#ends = await this.#asked;
        const assignment = await this.#joined();
        if (assignment === null) continue;
        if (assignment.generation !== this.#generation) {
          await this.#settle(assignment);
        } else if (this.#queue.length > 0) {
          const batch = this.#take(this.#member!);
          if (this.#queue.length === 0) this.#fetch();
          yield batch;
        } else if (this.#isDrained()) {
          return;
        } else {
          this.#fetch();
          await this.#change();
        }
      }
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error;
    } finally {
      signal.removeEventListener("abort", this.#ring);
      drain?.removeEventListener("abort", onDrain);
      await Promise.all([this.#member?.leave(), this.#source.close()]);
    }
  }

  /** Joins the group where that is not done; the current assignment, null while there is none. */
  async #joined(): Promise<Assignment | null> {
    const { topics, group, signal } = this.#options;
    try {
      const failure = this.#failure ?? this.#member?.failure ?? null;
      this.#failure = null;
      if (failure !== null) throw failure;
      if (this.#source.isStale) { for (const topic of topics) await this.#know(topic); }
      if (this.#member === null) {
        this.#member = new Member(this.#address, group, this.#generation, this.#ring);
        await this.#member.join(topics);
      }
      if (this.#member.assignment === null && this.#member.failure === null) await this.#change();
      return this.#member.failure === null ? this.#member.assignment : null;
    } catch (error) {
      if (this.#member?.failure || !this.#member?.assignment) {
        await this.#member?.leave();
        this.#member = null;
      }
      await this.#patience.after(error, signal);
      return null;
    }
  }

  /** After a failure, which a topic that is deleted and made again shows itself by: offsets of the one before mean nothing. */
  async #know(topic: Name): Promise<void> {
    const { identity } = await this.#topic(topic, this.#options.signal);
    const before = this.#identities.get(topic);
    if (before !== undefined && before !== identity) {
      throw new Refusal(
        `Cannot ${this.#what}: "${topic}" was deleted and made again, "${before}" before and "${identity}" now, must stay the same while it is read`,
      );
    }
    this.#identities.set(topic, identity);
    await this.#source.know(topic);
  }

  /**
   * Goes on in the partitions that stayed this reader's, learns where to begin in the others, and forgets what was fetched
   * for those that it lost. What stays must go on: a group whose members come and go would never get anywhere.
   */
  async #settle({ generation, partitions }: Assignment): Promise<void> {
    const { start, stop, signal } = this.#options;
    const places = new Map<string, Place>();
    for (const mine of partitions) {
      const place = this.#places.get(nameOf(mine));
      if (place !== undefined && mine.since <= this.#generation) places.set(nameOf(mine), place);
    }
    this.#queue = this.#queue.filter(({ chunk }) => places.has(nameOf(chunk)));
    // A copy, which answers that are still to come do not belong to.
    this.#places = new Map(places);
    const assigned = new Set(partitions.map(nameOf));
    for (const [name, { topic, partition }] of [...this.#started]) {
      if (assigned.has(name)) continue;
      this.#started.delete(name);
      await stop?.(topic as Name, partition);
    }
    const member = this.#member!;
    for (const { topic, partition } of partitions) {
      if (places.has(nameOf({ topic, partition }))) continue;
      const [range, acknowledged] = await this.#persist(() =>
        Promise.all([
          this.#control.ranges(topic).then((ranges) => ranges[partition]!),
          start ? null : member.acknowledged(topic, partition),
        ])
      );
      if (signal.aborted || member.assignment?.generation !== generation) return;
      const isHeld = acknowledged !== null && acknowledged >= range.low && acknowledged <= range.high;
      this.#started.set(nameOf({ topic, partition }), { topic, partition });
      const offset = start ? await start(topic as Name, partition, range) : isHeld ? acknowledged : range.low;
      places.set(nameOf({ topic, partition }), { topic, partition, offset, delivered: offset });
    }
    this.#places = places;
    this.#generation = generation;
  }

  /** Asks each broker that is not being asked for what comes next in its partitions. */
  #fetch(): void {
    const places = this.#places;
    const wanted = [...places].filter(([name, { offset }]) => offset < (this.#ends?.get(name) ?? Infinity));
    try {
      for (const [node, positions] of this.#source.nodesOf(wanted.map(([, place]) => place))) {
        if (!this.#fetching.has(node)) this.#fetchFrom(node, positions, places);
      }
    } catch (error) {
      this.#failure = error;
      this.#ring();
    }
  }

  async #fetchFrom(node: string, positions: readonly Position[], places: ReadonlyMap<string, Place>): Promise<void> {
    this.#fetching.add(node);
    try {
      const chunks = await this.#source.fetch(node, positions.map((position) => ({ ...position })), WAIT_MS);
      this.#patience.calm();
      // An answer for places that are no longer this reader's is nobody's.
      if (this.#places !== places) return;
      for (const chunk of chunks) {
        if (chunk.next === chunk.offset) continue;
        places.get(nameOf(chunk))!.offset = chunk.next;
        this.#queue.push({ chunk, at: 0 });
      }
    } catch (error) {
      if (this.#places === places) this.#failure = error;
    } finally {
      this.#fetching.delete(node);
      this.#ring();
    }
  }

  /** The next batch out of what was fetched, up to the drain's end. */
  #take(member: Member): Batch {
    const head = this.#queue[0]!;
    const { topic, partition, records, next, high } = head.chunk;
    const name = nameOf(head.chunk);
    const end = this.#ends?.get(name) ?? Infinity;
    const from = head.at;
    head.at = Math.min(records.length, from + (this.#options.batchMax ?? BATCH_MAX));
    const isLast = head.at === records.length;
    const upTo = Math.min(end, isLast ? next : records[head.at]!.offset);
    if (isLast || upTo === end) this.#queue.shift();
    const part = from === 0 && isLast ? records : records.slice(from, head.at);
    this.#places.get(name)!.delivered = upTo;
    return {
      topic,
      partition,
      records: (part.at(-1)?.offset ?? -1) < end ? part : part.filter(({ offset }) => offset < end),
      next: upTo,
      high,
      ack: () => member.acknowledge(topic, partition, upTo),
    };
  }

  /** Resolves when something rings; a ring before the wait counts. */
  async #change(): Promise<void> {
    await this.#bell.promise;
    this.#bell = Promise.withResolvers();
  }

  #isDrained(): boolean {
    if (this.#ends === null) return false;
    return [...this.#places].every(([name, { delivered }]) => delivered >= this.#ends!.get(name)!);
  }

  #endsNow(): Promise<ReadonlyMap<string, number>> {
    return this.#persist(async () => {
      const ends = new Map<string, number>();
      for (const topic of this.#options.topics) {
        const ranges = await this.#control.ranges(topic);
        ranges.forEach(({ high }, partition) => ends.set(nameOf({ topic, partition }), high));
      }
      return ends;
    });
  }

  #persist<T>(act: () => Promise<T>): Promise<T> {
    return patienceWith(this.#what, this.#address, this.#world).persist(act, this.#options.signal);
  }
}

/** A bounded scan of one partition, up to `to` or the end of the log. */
export async function* scan(
  source: Source,
  position: Position,
  to: number,
  address: Address,
  world: World,
  signal?: AbortSignal,
): AsyncGenerator<readonly LogRecord[]> {
  const what = `read partition "${nameOf(position)}"`;
  const patience = patienceWith(what, address, world);
  let offset = position.offset;
  let waitMs = 0;
  while (offset < to && !signal?.aborted) {
    let chunk: Chunk | undefined;
    try {
      await source.know(position.topic);
      const at = { ...position, offset };
      const [[node] = [""]] = source.nodesOf([at]);
      [chunk] = await source.fetch(node, [at], waitMs);
      patience.calm();
    } catch (error) {
      await patience.after(error, signal);
      continue;
    }
    if (chunk === undefined) return;
    // Nothing before the end: an open transaction holds it back.
    waitMs = chunk.next === offset ? WAIT_MS : 0;
    offset = chunk.next;
    const records = offset <= to ? chunk.records : chunk.records.filter((record) => record.offset < to);
    if (records.length > 0) yield records;
    if (offset >= chunk.high) return;
  }
}
