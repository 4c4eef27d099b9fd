/**
 * One life of a stage in a storm: doors that do what the plan says to every operation. Once the life is over nothing of it
 * acts any more, as with a process that was killed; one that was paused goes on when somebody else has its work.
 *
 * **In** the storm's doors and its plan, **Out** doors for one run of a stage. **Knows** the doors, `plan`.
 */
import { Outage } from "../../lib/failure.ts";
import type { Hot } from "../../lib/hot.ts";
import type { Lake, Published, Sheet } from "../../lib/lake.ts";
import type { Openers } from "../../lib/stage.ts";
import type { Batch, Message, ReceiveOptions, Transport } from "../../lib/transport.ts";
import type { Holding } from "../../lib/fence.ts";
import type { Plan } from "./plan.ts";

/** What the storm's stages stand on. */
export interface Ground {
  /** The residents themselves: to import one by its scheme would take a turn of the real event loop. */
  readonly open: Openers;
  /** Ends every life, and takes what was not synced. */
  cutPower(): void;
  /** Told of a life that is over. */
  bury(life: Incarnation): void;
  /**
   * Who has a place of the lake in hand, where the lake itself keeps no lock; null where it does. Copies that come and go
   * wait for it; who sleeps is overtaken.
   */
  readonly holders: Map<string, Incarnation> | null;
}

const SLOWNESS = 20;

/** Thrown by every operation of a life that is over. */
export class Killed extends Error {}

/** Which stage marks its progress before it has written: a bug that a storm must find. */
export type Swap = "simulate" | "validate" | "sink-hot" | "sink-cold";

export class Incarnation {
  readonly openers: Openers;
  readonly who: string;
  /** Resolves when the plan pauses this life; it goes on after {@linkcode Incarnation.wake}. */
  readonly paused: Promise<void>;
  /** Resolves when the plan lets another copy join the group. */
  readonly joined: Promise<void>;
  readonly #plan: Plan;
  readonly #swapped: boolean;
  readonly #ground: Ground;
  readonly #end = new AbortController();
  readonly #leave = new AbortController();
  readonly #join = Promise.withResolvers<void>();
  readonly #pause = Promise.withResolvers<void>();
  readonly #awake = Promise.withResolvers<void>();
  /** Of each place of the lake that is in hand: tells who waits for it that it is free. */
  readonly #places = new Map<string, PromiseWithResolvers<void>>();
  /** Writes that were acknowledged and not done, in a stage that is swapped. */
  #owed: (() => Promise<unknown>)[] = [];
  #isPaused = false;

  /** `group` is what the life is called in its group's name: lives of another name do not share with it. */
  constructor(stage: string, group: string, ground: Ground, plan: Plan, swap: Swap | null) {
    this.who = `${stage}${group}`;
    this.#plan = plan;
    this.#ground = ground;
    this.#swapped = swap === stage;
    this.paused = this.#pause.promise;
    this.joined = this.#join.promise;
    const now = (): number => plan.now();
    this.openers = {
      transport: async (url, world) => this.#transport(await ground.open.transport(url, { ...world, now }), group),
      hot: async (url, world) => this.#hot(await ground.open.hot(url, { ...world, now })),
      lake: async (url, world) => this.#lake(await ground.open.lake(url, { ...world, now })),
    };
  }

  /** Fires when the life is over, or is to come to its end in order. */
  get signal(): AbortSignal {
    return AbortSignal.any([this.#end.signal, this.#leave.signal]);
  }
  get isLeaving(): boolean {
    return this.#leave.signal.aborted;
  }
  get isOver(): boolean {
    return this.#end.signal.aborted;
  }
  end(): void {
    this.#end.abort();
    this.#ground.bury(this);
    for (const name of this.#places.keys()) this.#free(name);
    this.wake();
  }
  wake(): void {
    this.#awake.resolve();
  }

  async #do<T>(operation: string, act: () => Promise<T>): Promise<T> {
    // A write may take far longer than what comes after it, so that two of them in flight would change places.
    const slowness = /^(append|apply|publish)/.test(operation) ? SLOWNESS : 1;
    for (let turn = slowness * this.#plan.turns(); turn > 0; turn--) await null;
    if (this.#isPaused) await this.#awake.promise;
    this.#assertAlive();
    const fate = this.#plan.next(this.who, operation);
    // Two producers of one id are two markets, and no promise is made for them; one that leaves has made fewer ticks.
    const isShared = !this.who.startsWith("simulate");
    if (fate === "join" && isShared) this.#join.resolve();
    if (fate === "leave" && isShared) this.#leave.abort();
    if (fate === "pause" && isShared && !this.#isPaused) {
      this.#isPaused = true;
      this.#pause.resolve();
      await this.#awake.promise;
      this.#assertAlive();
    }
    if (fate === "kill before") this.end();
    if (fate === "power cut before") this.#ground.cutPower();
    this.#assertAlive();
    if (fate === "fail before") throw new Outage(`${operation} fails before it acts`);
    const result = await act();
    if (fate === "kill after") this.end();
    if (fate === "power cut after") this.#ground.cutPower();
    this.#assertAlive();
    if (fate === "fail after") throw new Outage(`${operation} fails after it acted`);
    return result;
  }

  /** Resolves when the life is over. */
  get #ended(): Promise<void> {
    return this.isOver ? Promise.resolve() : new Promise((resolve) => {
      this.#end.signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
  #assertAlive(): void {
    if (this.isOver) throw new Killed(`${this.who} is over`);
  }

  /** Waits for whoever has the place in hand. */
  async #take(name: string): Promise<void> {
    const { holders } = this.#ground;
    if (holders === null) return;
    for (let holder = holders.get(name); holder !== undefined && holder !== this; holder = holders.get(name)) {
      if (holder.#isPaused || holder.isOver) break;
      await Promise.race([holder.#places.get(name)!.promise, holder.paused, this.#ended]);
      this.#assertAlive();
    }
    holders.set(name, this);
    if (!this.#places.has(name)) this.#places.set(name, Promise.withResolvers());
  }
  #free(name: string): void {
    const { holders } = this.#ground;
    if (holders?.get(name) === this) holders.delete(name);
    this.#places.get(name)?.resolve();
    this.#places.delete(name);
  }

  #transport(log: Transport, group: string): Transport {
    const receive = this.#receive.bind(this);
    const scan = this.#scan.bind(this);
    return {
      describes: log.describes,
      create: (topic, partitions) => this.#do(`create ${topic}`, () => log.create(topic, partitions)),
      ranges: (topic) => this.#do(`ranges ${topic}`, () => log.ranges(topic)),
      topic: (topic) => this.#do(`topic ${topic}`, () => log.topic(topic)),
      append: (topic, partition, messages) =>
        this.#do(
          `append ${topic}/${partition} ${originOf(messages)}`,
          () => this.#append(log, topic, partition, messages),
        ),
      sync: (topic, partition, upTo) => this.#do(`sync ${topic}/${partition}`, () => log.sync(topic, partition, upTo)),
      claim: (stage, partition) => this.#do(`claim ${stage}/${partition}`, () => log.claim(stage, partition)),
      save: async (stage, partition, checkpoint) => {
        await this.#do(`save ${stage}/${partition}`, () => log.save(stage, partition, checkpoint));
        const owed = this.#owed;
        this.#owed = [];
        for (const write of owed) await this.#do("append, late", write);
      },
      load: (stage, partition) => this.#do(`load ${stage}/${partition}`, () => log.load(stage, partition)),
      receive: <Topic extends string>(options: ReceiveOptions<Topic>) =>
        receive(log, { ...options, group: options.group + group }),
      read: (topic, partition, from, to, signal) => scan(log, topic, partition, from, to, signal),
      close: () => log.close(),
    };
  }

  async #append(log: Transport, topic: string, partition: number, messages: readonly Message[]) {
    if (!this.#swapped) return await log.append(topic, partition, messages);
    const { high } = (await log.ranges(topic))[partition]!;
    this.#owed.push(() => log.append(topic, partition, messages));
    return { first: high, next: high + messages.length };
  }

  async *#receive<Topic extends string>(log: Transport, options: ReceiveOptions<Topic>): AsyncGenerator<Batch> {
    const signal = AbortSignal.any([options.signal, this.#end.signal]);
    const stream = log.receive({ ...options, signal, batchMax: this.#plan.batchMax() });
    const batches = stream[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await batches.next();
        this.#assertAlive();
        if (done) return;
        const { topic, partition, next } = value;
        const batch = await this.#do(`receive ${topic}/${partition} to ${next}`, () => Promise.resolve(value));
        yield { ...batch, ack: () => this.#do(`ack ${topic}/${partition}`, () => value.ack()) };
      }
    } finally {
      await batches.return?.();
    }
  }

  async *#scan(
    log: Transport,
    topic: string,
    partition: number,
    from: number,
    to: number,
    signal: AbortSignal | undefined,
  ) {
    for await (const records of log.read(topic, partition, from, to, signal)) {
      yield await this.#do(`read ${topic}/${partition}`, () => Promise.resolve(records));
    }
  }

  #hot(hot: Hot): Hot {
    return {
      tryThis: hot.tryThis,
      acquire: (place) => this.#do(`acquire hot ${place.topic}/${place.partition}`, () => hot.acquire(place)),
      begin: (place, identity, next) =>
        this.#do(`begin hot ${place.topic}/${place.partition}`, () => hot.begin(place, identity, next)),
      skip: (held, next) => this.#do(`skip hot to ${next}`, () => hot.skip(held, next)),
      gaps: () => this.#do("gaps hot", () => hot.gaps()),
      holdings: () => this.#do("holdings hot", () => hot.holdings()),
      apply: async (commit) => {
        const { topic, partition } = commit.held;
        const name = `apply ${topic}/${partition} to ${commit.next}`;
        if (!this.#swapped) return await this.#do(name, () => hot.apply(commit));
        const held = await this.#do(`${name}, offset`, () => hot.apply({ ...commit, rows: {} }));
        return await this.#do(`${name}, rows`, () => hot.apply({ ...commit, held }));
      },
      rows: (table, partition, from, to) => hot.rows(table, partition, from, to),
      partitions: (table) => hot.partitions(table),
      told: (...asked) => hot.told(...asked),
      dated: (...asked) => hot.dated(...asked),
      lastTold: (...asked) => hot.lastTold(...asked),
      symbols: (...asked) => hot.symbols(...asked),
      close: () => hot.close(),
    };
  }

  #lake(lake: Lake): Lake {
    return {
      root: lake.root,
      tryThis: lake.tryThis,
      acquire: async (place) => {
        await this.#take(`${place.topic}/${place.partition}`);
        return await this.#do(`acquire lake ${place.topic}/${place.partition}`, () => lake.acquire(place));
      },
      begin: (place, identity, next) =>
        this.#do(`begin lake ${place.topic}/${place.partition}`, () => lake.begin(place, identity, next)),
      skip: (held, next) => this.#do(`skip lake to ${next}`, () => lake.skip(held, next)),
      gaps: () => this.#do("gaps lake", () => lake.gaps()),
      holdings: () => this.#do("holdings lake", () => lake.holdings()),
      intend: (held, first, last) =>
        this.#do(`intend ${held.partition} ${first} to ${last}`, () => lake.intend(held, first, last)),
      intended: (held) => lake.intended(held),
      sheet: (held) => lake.sheet(held),
      publish: (held, sheet, next) => this.#publish(lake, held, sheet, next),
      release: async (held) => {
        await this.#do(`release ${held.partition}`, () => lake.release(held));
        this.#free(`${held.topic}/${held.partition}`);
      },
      units: () => this.#do("units", () => lake.units()),
      rows: (file) => this.#do("rows", () => lake.rows(file)),
      told: (...asked) => lake.told(...asked),
      lastTold: (...asked) => lake.lastTold(...asked),
      symbols: (...asked) => lake.symbols(...asked),
      mend: (file, sheet) => this.#do("mend", () => lake.mend(file, sheet)),
      isOwned: (place) => lake.isOwned(place),
      damages: () => this.#do("damages", () => lake.damages()),
      close: () => lake.close(),
    };
  }

  async #publish(lake: Lake, held: Holding, sheet: Sheet, next: number): Promise<Published> {
    const name = `publish ${held.partition} ${sheet.first} to ${sheet.last}`;
    if (!this.#swapped) return await this.#do(name, () => lake.publish(held, sheet, next));
    const { held: moved } = await this.#do(`${name}, offset`, () => lake.publish(held, lake.sheet(held), next));
    return await this.#do(`${name}, rows`, () => lake.publish(moved, sheet, next));
  }
}

/** The last origin that a batch of verdicts speaks of; nothing for a producer's. */
function originOf(messages: readonly Message[]): string {
  return /"origin":(\d+)/.exec(String(messages.at(-1)?.value))?.[1] ?? "";
}
