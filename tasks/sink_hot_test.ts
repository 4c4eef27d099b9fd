/**
 * sink-hot among others: a partition goes from one of a group to the next with a commit in flight, to a zombie's dismay,
 * and a gap ends within repeats. In memory; a slow store is one whose commits wait for so many turns.
 */
import assert from "@std/assert";
import sinkHot from "../cmd/sink-hot.ts";
import { Fenced, Refusal } from "../lib/failure.ts";
import { type Hot, openHot } from "../lib/hot.ts";
import { type Openers, type Outcome, perform, type Word } from "../lib/stage.ts";
import { TIME_MIN } from "../lib/tick.ts";
import {
  type Batch,
  openTransport,
  type Range,
  type ReceiveOptions,
  TOPICS,
  type Transport,
} from "../lib/transport.ts";
import type { World } from "../lib/world.ts";
import { settingOf } from "../testdata/flow.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const world: World = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };
const BATCH = 10;
/** More than another member needs to take a place that was given up. */
const TURNS = 1_000;
let tapes = 0;

/** A log with valid ticks, and the hot store of its own. */
class Ground {
  readonly #name = `sink-hot-${tapes++}`;
  readonly hot = openHot(`memory:${this.#name}`, world);
  readonly log = openTransport(`memory:${this.#name}`, world);

  static async with(counts: readonly number[]): Promise<Ground> {
    const ground = new Ground();
    const log = await ground.log;
    for (const topic of [TOPICS.valid, TOPICS.rejected]) await log.create(topic, counts.length);
    for (const [partition, count] of counts.entries()) await ground.append(partition, 0, count);
    return ground;
  }

  /** Appends the ticks of these origins, each of which names the one before it. */
  async append(partition: number, from: number, to: number): Promise<void> {
    const valueOf = (origin: number): string =>
      JSON.stringify({
        ...{
          type: "trade",
          venue: "sim",
          symbol: "A",
          eventTime: TIME_MIN + origin,
          receivedTime: TIME_MIN + origin,
          sequence: null,
          id: null,
        },
        ...{ price: "1", size: "1", side: "buy", conditions: [], origin, previous: origin - 1 },
      });
    const messages = Array.from({ length: to - from }, (_, i) => ({ key: "sim:A", value: valueOf(from + i) }));
    await (await this.log).append(TOPICS.valid, partition, messages);
  }

  /** One more of the group. */
  join(how: Partial<Member["how"]> = {}): Member {
    return new Member(this.#name, { slow: () => Promise.resolve(), low: 0, args: [], isOnce: false, ...how });
  }

  async origins(partition: number): Promise<number[]> {
    const origins: number[] = [];
    for await (const rows of (await this.hot).rows("trades", partition, 0, 1e9)) {
      origins.push(...rows.map((row) => row[1] as number));
    }
    return origins;
  }
}

/** A sink-hot of the group. */
class Member {
  readonly how: {
    /** What a commit waits for. */
    readonly slow: (partition: number, next: number) => Promise<void>;
    /** Where retention has brought the log's beginning. */
    readonly low: number;
    readonly args: readonly string[];
    readonly isOnce: boolean;
  };
  readonly abort = new AbortController();
  readonly drain = new AbortController();
  /** Whether its commits were refused. */
  fenced = 0;
  /** The lines that it reported. */
  readonly said: string[] = [];
  /** Settled with its end. */
  readonly ended: Promise<Outcome>;
  readonly #joined = Promise.withResolvers<void>();
  /** How far each partition was applied, and who waits for more. */
  readonly #reached = new Map<number, number>();
  readonly #waiting = new Set<() => void>();

  constructor(name: string, how: Member["how"]) {
    this.how = how;
    if (how.isOnce) this.drain.abort();
    const doors: Openers = {
      transport: async (url, world) => this.#transport(await openTransport(url, world)),
      hot: async (url, world) => this.#hot(await openHot(url, world)),
      lake: () => Promise.reject(new Error("sink-hot has no lake")),
    };
    const setting = {
      ...settingOf(sinkHot, "", how.args),
      transport: `memory:${name}`,
      hot: `memory:${name}`,
    };
    const hear = (word: Word): void => {
      if (word.word === "report") this.said.push(word.line);
    };
    this.ended = perform(sinkHot, setting, hear, this.abort.signal, this.drain.signal, doors);
  }

  /** Resolves once it is one of the group. */
  get joined(): Promise<void> {
    return this.#joined.promise;
  }

  /** Resolves once it has applied a partition up to there. */
  async applied(partition: number, next: number): Promise<void> {
    while ((this.#reached.get(partition) ?? 0) < next) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  #transport(log: Transport): Transport {
    const receive = <Topic extends string>(options: ReceiveOptions<Topic>): AsyncIterable<Batch> => {
      const start = (topic: Topic, partition: number, { high }: Range) =>
        options.start!(topic, partition, { low: Math.min(this.how.low, high), high });
      const stream = log.receive({ ...options, start, batchMax: BATCH })[Symbol.asyncIterator]();
      const next = () => {
        const batch = stream.next();
        this.#joined.resolve();
        return batch;
      };
      return { [Symbol.asyncIterator]: () => ({ next, return: () => stream.return!() }) };
    };
    return new Proxy(log, { get: (log, name: keyof Transport) => name === "receive" ? receive : bound(log, name) });
  }

  #hot(hot: Hot): Hot {
    const apply: Hot["apply"] = async (commit) => {
      const { partition } = commit.held;
      await this.how.slow(partition, commit.next);
      try {
        const held = await hot.apply(commit);
        if (commit.held.topic === TOPICS.valid) this.#reached.set(partition, held.next);
        for (const resolve of this.#waiting) resolve();
        return held;
      } catch (error) {
        if (error instanceof Fenced) this.fenced++;
        throw error;
      }
    };
    return new Proxy(hot, { get: (hot, name: keyof Hot) => name === "apply" ? apply : bound(hot, name) });
  }
}

function bound<Door extends object>(door: Door, name: keyof Door): unknown {
  const value = door[name];
  return typeof value === "function" ? value.bind(door) : value;
}

async function turns(): Promise<void> {
  for (let i = 0; i < TURNS; i++) await null;
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

Deno.test("a partition that a second sink-hot is given is given up with its commit done", strict, async () => {
  const ground = await Ground.with([40, 40]);
  let other: Member | undefined;
  const one = ground.join({
    async slow(partition, next) {
      if (partition === 1 && next === BATCH) await (other = ground.join()).joined;
      await turns();
    },
  });
  await one.applied(0, 40);
  await other!.applied(1, 40);
  one.abort.abort();
  other!.drain.abort();
  await Promise.all([one.ended, other!.ended]);
  assert.deepEqual([one.fenced, other!.fenced], [0, 0]);
  for (const partition of [0, 1]) assert.deepEqual(await ground.origins(partition), upTo(40));
});

Deno.test("a sink-hot that is told to stop leaves a partition whose next owner was faster", strict, async () => {
  const ground = await Ground.with([40]);
  let other: Member | undefined;
  const one = ground.join({
    async slow(_partition, next) {
      if (next === BATCH) await (other = ground.join()).joined;
      // It ends after the batch in hand, and gives its place up with the commit of that in flight.
      if (next === 2 * BATCH) one.abort.abort();
      await turns();
    },
  });
  await one.ended;
  await other!.applied(0, 40);
  other!.drain.abort();
  await other!.ended;
  assert.deepEqual([one.fenced, other!.fenced], [1, 0]);
  assert.deepEqual(await ground.origins(0), upTo(40));
});

Deno.test(
  "a sink-hot that has read to the end has its last commit done before another one may come",
  strict,
  async () => {
    const ground = await Ground.with([15]);
    const one = ground.join({ slow: turns, isOnce: true });
    const other = ground.join();
    await one.ended;
    other.drain.abort();
    await other.ended;
    assert.deepEqual([one.fenced, other.fenced], [0, 0]);
    assert.deepEqual(await ground.origins(0), upTo(15));
  },
);

Deno.test(
  "a commit that is refused for a partition given away ends nothing, and the others go on",
  strict,
  async () => {
    const ground = await Ground.with([40, 40]);
    const hot = await ground.hot;
    let other: Member | undefined;
    const one = ground.join({
      async slow(partition, next) {
        if (partition !== 1 || next !== BATCH) return;
        await (other = ground.join()).joined;
        // As where the group's log does not wait for the one to give up before the other begins.
        await hot.acquire({ sink: "sink-hot", topic: TOPICS.valid, partition });
      },
    });
    await one.applied(0, 40);
    await other!.applied(1, 40);
    for (const member of [one, other!]) member.drain.abort();
    await Promise.all([one.ended, other!.ended]);
    assert.deepEqual([one.fenced, other!.fenced], [1, 0]);
    for (const partition of [0, 1]) assert.deepEqual(await ground.origins(partition), upTo(40));
  },
);

Deno.test(
  "a zombie, whose partition another one has taken unknown to it, is refused at the next batch",
  strict,
  async () => {
    const ground = await Ground.with([40, 40]);
    const hot = await ground.hot;
    const one = ground.join({
      async slow(partition, next) {
        if (partition === 1 && next === BATCH) await hot.acquire({ sink: "sink-hot", topic: TOPICS.valid, partition });
      },
    });
    await Promise.race([one.ended.catch(() => {}), one.applied(0, 40).then(turns)]);
    one.abort.abort();
    await assert.rejects(one.ended, (error: unknown) => {
      assert.match(error instanceof Refusal ? error.message : "", /"ticks.valid\/1": sink-hot with epoch 2 holds it/);
      return true;
    });
    assert.deepEqual(await ground.origins(1), []);
  },
);

Deno.test(
  "a commit that is refused at the end of all is left to who has the partition, and that is said",
  strict,
  async () => {
    const ground = await Ground.with([40, BATCH]);
    const hot = await ground.hot;
    const one = ground.join({
      async slow(partition, next) {
        if (partition === 1 && next === BATCH) await hot.acquire({ sink: "sink-hot", topic: TOPICS.valid, partition });
      },
      isOnce: true,
    });
    await one.ended;
    assert.deepEqual([one.fenced, await ground.origins(1)], [1, []]);
    assert.match(one.said.join(), /left ticks\.valid\/1 to who has it now: .* epoch 2 holds it/);
  },
);

Deno.test(
  "a gap that ends within repeats is bridged by what is applied first, whenever that comes",
  strict,
  async () => {
    const ground = await Ground.with([5]);
    await ground.join({ isOnce: true }).ended;
    // Origins 5 to 10 are lost, and with them their successors' place in the chain; what is left of them is repeats.
    await ground.append(0, 5, 11);
    await ground.append(0, 2, 4);
    const again = (args: readonly string[]) => ground.join({ isOnce: true, low: 11, args }).ended;
    assert.equal((await again(["--accept-gap"])).repeats, 2);
    await ground.append(0, 11, 14);
    assert.equal((await again([])).repeats, 2);
    assert.deepEqual(await ground.origins(0), [...upTo(5), 11, 12, 13]);
  },
);
