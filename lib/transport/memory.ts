/**
 * The log in this process's memory, `memory:<name>[?holes=N]`: whoever opens the same name sees the same log, for as long
 * as the process lives.
 *
 * It keeps every promise of the door for as long as nobody cuts its power. `holes=N` leaves out every Nth offset, as
 * compaction and transactions do on Kafka.
 * **In**, **Out** see the door. **Knows** `transport`, `codec`, `failure`, `world`.
 */
import { Misuse, Refusal } from "../failure.ts";
import { assertFits, fenced, messageBytesMax } from "../transport.ts";
import type { Batch, Checkpoint, LogRecord, Message, Range, ReceiveOptions, Topic, Transport } from "../transport.ts";
import { checkKey, sizeOf } from "../codec.ts";
import type { World } from "../world.ts";

const BATCH_MAX = 8192;

interface Partition {
  readonly records: LogRecord[];
  high: number;
  /** What would survive a power cut: everything below it. */
  durable: number;
}

/** Readers of one group. A seat is taken by its owner until that one has put down the batch in hand. */
interface Group {
  readonly members: symbol[];
  readonly owners: Map<string, symbol>;
  readonly acknowledged: Map<string, number>;
}

/** A stage's partition: whose it is since when, and the checkpoint that counts. */
interface Claimed {
  epoch: number;
  since: number;
  best: Checkpoint | null;
}

/** What a name stands for. */
interface Store {
  readonly id: string;
  readonly holes: number;
  readonly topics: Map<string, { readonly id: string; readonly partitions: readonly Partition[] }>;
  readonly groups: Map<string, Group>;
  readonly checkpoints: Map<string, Claimed>;
  /** Readers that wait for anything to change. */
  readonly waiting: Set<() => void>;
}
const stores = new Map<string, Store>();
const storeOf = (holes: number): Store => {
  const [topics, groups, checkpoints] = [new Map(), new Map(), new Map()];
  return { id: crypto.randomUUID(), holes, topics, groups, checkpoints, waiting: new Set() };
};

/** Opens the log of a name, making it at first. @throws {Misuse} for holes that are no number */
// deno-lint-ignore require-await -- a bad URL rejects, it does not throw
export async function open(url: string, world: World): Promise<Transport> {
  const [name = "", query] = url.slice("memory:".length).split("?", 2);
  const holes = new URLSearchParams(query).get("holes") ?? "0";
  if (!/^\d{1,9}$/.test(holes) || holes === "1") {
    throw new Misuse(`Cannot open memory "${url}": holes is "${holes}", must be a whole number above 1, or 0 for none`);
  }
  let store = stores.get(name);
  if (store === undefined) stores.set(name, store = storeOf(Number(holes)));
  return new MemoryLog(name, store, world);
}

/** The index of the first record at or beyond an offset. */
function indexOf(records: readonly LogRecord[], offset: number): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (records[middle]!.offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Cuts the power of the log of that name: what was appended and not synced is gone. Nobody may be reading it. */
export function cutPower(name: string): void {
  for (const { partitions } of stores.get(name)!.topics.values()) {
    for (const partition of partitions) {
      partition.records.length = indexOf(partition.records, partition.durable);
      partition.high = partition.durable;
    }
  }
}

class MemoryLog implements Transport {
  readonly describes: string;
  readonly #store: Store;
  readonly #world: World;

  constructor(name: string, store: Store, world: World) {
    this.#world = world;
    this.describes = `memory "${name}": what is acknowledged lasts as long as this process`;
    this.#store = store;
  }

  // deno-lint-ignore require-await -- a refusal rejects, it does not throw
  async create(topic: string, partitions: number): Promise<void> {
    const found = this.#store.topics.get(topic)?.partitions.length;
    if (found === undefined) {
      this.#store.topics.set(topic, {
        id: crypto.randomUUID(),
        partitions: Array.from({ length: partitions }, () => ({ records: [], high: 0, durable: 0 })),
      });
    } else if (found !== partitions) {
      throw new Refusal(`Cannot create topic "${topic}": it has ${found} partitions, must have ${partitions}`);
    }
  }

  // deno-lint-ignore require-await -- a misuse rejects, it does not throw
  async ranges(topic: string): Promise<readonly Range[]> {
    return this.#topic(topic).partitions.map(({ high }) => ({ low: 0, high }));
  }

  // deno-lint-ignore require-await -- a misuse rejects, it does not throw
  async topic(topic: string): Promise<Topic> {
    const { id, partitions } = this.#topic(topic);
    return { identity: `${this.#store.id}/${id}`, partitions: partitions.length };
  }

  // deno-lint-ignore require-await -- a misuse rejects, it does not throw
  async append(
    topic: string,
    partition: number,
    messages: readonly Message[],
  ): Promise<{ first: number; next: number }> {
    const into = this.#partition(topic, partition);
    for (const { key, value } of messages) {
      checkKey(key, `${topic}/${partition}`);
      sizeOf(value, `${topic}/${partition}`, messageBytesMax(topic));
    }
    const { holes } = this.#store;
    const first = into.high;
    for (const message of messages) {
      const { value } = message;
      into.records.push({
        ...message,
        // The caller may use its bytes again.
        value: typeof value === "string" ? value : Uint8Array.from(value),
        offset: into.high++,
      });
      if (holes > 0 && into.high % holes === holes - 1) into.high++;
    }
    this.#ring();
    return { first, next: into.high };
  }

  async *receive<Topic extends string>(options: ReceiveOptions<Topic>): AsyncGenerator<Batch> {
    const { topics, signal, drain, start, stop, batchMax = BATCH_MAX } = options;
    const seats = topics.flatMap((topic) =>
      this.#topic(topic).partitions.map((from, partition) => {
        return { topic, partition, from, name: `${topic}/${partition}` };
      })
    );
    const group = this.#group(options.group);
    const me = Symbol();
    const mine = new Map<string, { readonly seat: typeof seats[number]; next: number }>();
    let ends: ReadonlyMap<string, number> | null = null;
    let bell = Promise.withResolvers<void>();
    // Bound to the bell as it is when it rings; one that rang before the wait counts.
    const ring = (): void => bell.resolve();
    const onDrain = (): void => {
      ends = new Map(seats.map(({ name, from }) => [name, from.high]));
      ring();
    };
    if (drain?.aborted) onDrain();
    else drain?.addEventListener("abort", onDrain);
    signal.addEventListener("abort", ring);
    this.#store.waiting.add(ring);
    group.members.push(me);
    this.#ring();
    let turn = 0;
    try {
      while (!signal.aborted) {
        const { owners, members } = group;
        for (const [i, seat] of seats.entries()) {
          const isDue = members[i % members.length] === me;
          if (!isDue && mine.delete(seat.name)) {
            await stop?.(seat.topic as Topic, seat.partition);
            owners.delete(seat.name);
            this.#ring();
          }
          if (!isDue || owners.has(seat.name)) continue;
          owners.set(seat.name, me);
          const next = start
            ? await start(seat.topic, seat.partition, { low: 0, high: seat.from.high })
            : group.acknowledged.get(seat.name) ?? 0;
          mine.set(seat.name, { seat, next });
        }
        const limit = (place: { readonly seat: typeof seats[number] }) =>
          ends?.get(place.seat.name) ?? place.seat.from.high;
        // Round the partitions, so that a full one does not starve the others.
        const places = [...mine.values()];
        const from = turn++ % (places.length || 1);
        const place = [...places.slice(from), ...places.slice(0, from)].find((place) => place.next < limit(place));
        if (place !== undefined) {
          yield this.#batch(group, place, limit(place), batchMax);
        } else {
          const settled = seats.every(({ name }, i) => members[i % members.length] !== me || mine.has(name));
          if (ends !== null && settled) return;
          await bell.promise;
          bell = Promise.withResolvers();
        }
      }
    } finally {
      signal.removeEventListener("abort", ring);
      drain?.removeEventListener("abort", onDrain);
      this.#store.waiting.delete(ring);
      group.members.splice(group.members.indexOf(me), 1);
      for (const [name, owner] of group.owners) if (owner === me) group.owners.delete(name);
      this.#ring();
    }
  }

  /** The next records of a place, up to a limit; moves the place on. */
  #batch(
    group: Group,
    place: { readonly seat: { topic: string; partition: number; from: Partition; name: string }; next: number },
    limit: number,
    batchMax: number,
  ): Batch {
    const { topic, partition, from, name } = place.seat;
    const index = indexOf(from.records, place.next);
    const end = Math.min(index + batchMax, indexOf(from.records, limit));
    const next = Math.min(limit, from.records[end]?.offset ?? from.high);
    place.next = next;
    return {
      topic,
      partition,
      records: from.records.slice(index, end),
      next,
      high: from.high,
      ack: () => {
        group.acknowledged.set(name, next);
        return Promise.resolve();
      },
    };
  }

  async *read(
    topic: string,
    partition: number,
    from: number,
    to: number,
    signal?: AbortSignal,
  ): AsyncGenerator<readonly LogRecord[]> {
    const { records, high } = this.#partition(topic, partition);
    const end = indexOf(records, Math.min(to, high));
    for (let at = indexOf(records, from); at < end && !signal?.aborted; at += BATCH_MAX) {
      yield records.slice(at, Math.min(end, at + BATCH_MAX));
    }
  }

  // deno-lint-ignore require-await -- a misuse rejects, it does not throw
  async sync(topic: string, partition: number, upTo = Infinity): Promise<void> {
    const synced = this.#partition(topic, partition);
    synced.durable = Math.max(synced.durable, Math.min(upTo, synced.high));
  }

  // deno-lint-ignore require-await
  async claim(stage: string, partition: number): Promise<{ epoch: number; checkpoint: Checkpoint | null }> {
    const claimed = this.#claimed(stage, partition);
    claimed.since = this.#world.now();
    return { epoch: ++claimed.epoch, checkpoint: claimed.best };
  }

  // deno-lint-ignore require-await -- a refusal rejects, it does not throw
  async save(stage: string, partition: number, checkpoint: Checkpoint): Promise<void> {
    const claimed = this.#claimed(stage, partition);
    assertFits(`${stage}/${partition}`, checkpoint);
    if (checkpoint.epoch < claimed.epoch) throw fenced(`${stage}/${partition}`, checkpoint.epoch, claimed);
    const { best } = claimed;
    if (best === null || checkpoint.epoch > best.epoch || checkpoint.nextOffset >= best.nextOffset) {
      claimed.best = checkpoint;
    }
  }

  load(stage: string, partition: number): Promise<Checkpoint | null> {
    return Promise.resolve(this.#claimed(stage, partition).best);
  }

  acknowledged(group: string, topic: string, partition: number): Promise<number | null> {
    return Promise.resolve(this.#store.groups.get(group)?.acknowledged.get(`${topic}/${partition}`) ?? null);
  }

  holder(stage: string, partition: number): Promise<{ epoch: number; since: number } | null> {
    const { epoch, since } = this.#claimed(stage, partition);
    return Promise.resolve(epoch === 0 ? null : { epoch, since });
  }

  /** What was appended stays for the next one that opens the name. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  #topic(topic: string): { readonly id: string; readonly partitions: readonly Partition[] } {
    const found = this.#store.topics.get(topic);
    if (found !== undefined) return found;
    throw new Misuse(
      `Cannot use topic "${topic}": it does not exist, must be created with deno task prepare --partitions N on the same --transport, or --create`,
    );
  }

  #partition(topic: string, partition: number): Partition {
    const { partitions } = this.#topic(topic);
    const found = partitions[partition];
    if (found !== undefined) return found;
    throw new Misuse(
      `Cannot use partition "${topic}/${partition}": the topic has ${partitions.length} partitions, must be below that`,
    );
  }

  #group(name: string): Group {
    let group = this.#store.groups.get(name);
    if (group !== undefined) return group;
    this.#store.groups.set(name, group = { members: [], owners: new Map(), acknowledged: new Map() });
    return group;
  }

  #claimed(stage: string, partition: number): Claimed {
    const name = JSON.stringify([stage, partition]);
    let claimed = this.#store.checkpoints.get(name);
    if (claimed === undefined) this.#store.checkpoints.set(name, claimed = { epoch: 0, since: 0, best: null });
    return claimed;
  }

  #ring(): void {
    for (const ring of this.#store.waiting) ring();
  }
}
