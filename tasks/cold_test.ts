/** What `sink-cold` binds, acknowledges and counts, and when: in memory, on a log that the test writes. */
import assert from "@std/assert";
import sinkCold from "../cmd/sink-cold.ts";
import { Refusal } from "../lib/failure.ts";
import { openHot } from "../lib/hot.ts";
import { type Lake, openLake } from "../lib/lake.ts";
import { perform, type Word } from "../lib/stage.ts";
import { openTransport, type ReceiveOptions, TOPICS, type Transport } from "../lib/transport.ts";
import type { World } from "../lib/world.ts";
import { settingOf } from "../testdata/flow.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const world: World = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };
const NOON = Date.UTC(2024, 7, 8, 12) * 1000;
const [never, at_once] = [new AbortController().signal, AbortSignal.abort()];
let grounds = 0;

interface Ground {
  readonly log: Transport;
  readonly lake: Lake;
  /** What the stage did to the doors, in order. */
  readonly deeds: string[];
  readonly words: Word[];
  /** Appends sound ticks of these origins. */
  readonly append: (...origins: number[]) => Promise<void>;
  readonly run: (...args: string[]) => Promise<void>;
  /** Binds a unit, as an owner that did not live to make it. */
  readonly bind: (first: number, last: number) => Promise<void>;
}

async function onGround(use: (ground: Ground) => Promise<void>): Promise<void> {
  const url = `memory:cold-${grounds++}`;
  const [log, lake] = [await openTransport(url, world), await openLake(url, world)];
  await log.create(TOPICS.valid, 1);
  const deeds: string[] = [];
  const words: Word[] = [];
  let previous = -1;
  const doors = {
    hot: openHot,
    transport: async () => told(await openTransport(url, world), deeds),
    lake: async () => toldLake(await openLake(url, world), deeds),
  };
  await use({
    ...{ log, lake, deeds, words },
    async append(...origins) {
      for (const origin of origins) {
        const time = NOON + origin;
        const tick = {
          type: "trade",
          venue: "sim",
          symbol: "X",
          eventTime: time,
          receivedTime: time,
          sequence: origin,
        };
        const trade = { ...tick, id: null, price: "1", size: "1", side: "buy", origin, previous };
        await log.append(TOPICS.valid, 0, [{ key: "sim:X", value: JSON.stringify(trade) }]);
        previous = origin;
      }
    },
    async run(...args) {
      const setting = { ...settingOf(sinkCold, "", args), transport: url, lake: url, partitions: 1 };
      await perform(sinkCold, setting, (word) => words.push(word), never, at_once, doors);
    },
    async bind(first, last) {
      const { identity } = await log.topic(TOPICS.valid);
      const held = await lake.begin({ sink: "sink-cold", topic: TOPICS.valid, partition: 0 }, identity, 0);
      await lake.intend(held, first, last);
      await lake.release(held);
    },
  });
}

function instead<T extends object>(door: T, others: Partial<T>): T {
  return new Proxy(door, {
    get(target, name) {
      const own = others[name as keyof T] ?? target[name as keyof T];
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}

/** A log that gives batches of two records, and tells. */
const told = (log: Transport, deeds: string[]): Transport =>
  instead(log, {
    async sync(topic, partition) {
      await log.sync(topic, partition);
      deeds.push("sync");
    },
    async *receive<Topic extends string>(options: ReceiveOptions<Topic>) {
      for await (const batch of log.receive({ ...options, batchMax: 2 })) {
        const ack = () => (deeds.push(`ack ${batch.next}`), batch.ack());
        yield { ...batch, ack };
      }
    },
  });

const toldLake = (lake: Lake, deeds: string[]): Lake =>
  instead(lake, {
    async intend(held, first, last) {
      await lake.intend(held, first, last);
      deeds.push(`intend ${first} to ${last}`);
    },
    async publish(held, sheet, next) {
      const published = await lake.publish(held, sheet, next);
      deeds.push(`publish ${sheet.first} to ${sheet.last}`);
      return published;
    },
  });

const refused = (says: RegExp) => (error: unknown) => {
  assert.match(error instanceof Refusal ? error.message : `no refusal: ${error}`, says);
  return true;
};
const unitsOf = async (lake: Lake) => (await lake.units()).map(({ first, last }) => [first, last]);

Deno.test(
  "a cut is bound to what the log keeps, and only what is published is acknowledged",
  strict,
  () =>
    onGround(async ({ append, run, deeds }) => {
      await append(0, 1, 2, 3, 4, 5, 6);
      await run("--unit-rows", "3");
      assert.deepEqual(deeds, [
        ...["sync", "publish 0 to 2", "ack 2"],
        ...["sync", "publish 3 to 5", "ack 4", "ack 6"],
        ...["sync", "intend 6 to 6", "publish 6 to 6", "ack 7"],
      ]);
    }),
);

Deno.test(
  "what comes again is acknowledged with what was applied",
  strict,
  () =>
    onGround(async ({ append, run, deeds, log }) => {
      await append(0, 1);
      await run();
      for await (const [first] of log.read(TOPICS.valid, 0, 0, 1)) await log.append(TOPICS.valid, 0, [first!]);
      deeds.length = 0;
      await run();
      assert.deepEqual(deeds, ["ack 3"]);
    }),
);

Deno.test(
  "a cut that was bound is made where it was bound, in whatever order the log comes to it",
  strict,
  () =>
    onGround(async ({ append, bind, run, lake, log }) => {
      await append(0, 1, 2, 3);
      // Judged twice: the last record is not the one that is farthest.
      for await (const [first] of log.read(TOPICS.valid, 0, 0, 1)) await log.append(TOPICS.valid, 0, [first!]);
      await bind(0, 2);
      await run("--unit-rows", "2");
      assert.deepEqual(await unitsOf(lake), [[0, 2], [3, 3]]);
    }),
);

Deno.test(
  "a log that ends before a cut that was bound is refused, before anything is read into a unit",
  strict,
  () =>
    onGround(async ({ append, bind, run, lake, deeds }) => {
      await append(0, 1, 2);
      await bind(0, 4);
      await assert.rejects(run(), refused(/at origin 4, as .*: the log ends before it, must hold what it held then/));
      assert.deepEqual([deeds, await unitsOf(lake)], [[], []]);
    }),
);

Deno.test(
  "a log that goes past a cut that was bound is refused as soon as it does",
  strict,
  () =>
    onGround(async ({ append, bind, run, lake }) => {
      await append(0, 1, 2, 3, 5, 6);
      await bind(0, 4);
      await assert.rejects(run(), refused(/Cannot close a unit .* at origin 4, .*: the log goes on with origin 5, /));
      assert.deepEqual(await unitsOf(lake), []);
    }),
);

Deno.test(
  "rows, files and bytes are counted once they are committed",
  strict,
  () =>
    onGround(async ({ append, run, lake, words }) => {
      await append(0, 1, 2, 3, 4);
      await run("--unit-rows", "2");
      const sums = new Map<string, number>();
      let rows = 0;
      for (const word of words) {
        if (word.word !== "progress") continue;
        rows = word.progress.applied;
        assert.deepEqual([word.marks, word.delta.observations.filter(({ name }) => name !== "stage_batch_seconds")], [
          [],
          [],
        ]);
        for (const { name, values, sum } of word.delta.sums) {
          const key = [name, ...values].join(" ");
          sums.set(key, (sums.get(key) ?? 0) + sum);
        }
      }
      const files = (await lake.units()).flatMap((unit) => unit.files);
      assert.deepEqual([rows, files.length], [5, 3]);
      assert.equal(sums.get("lake_files_total trades"), 3);
      assert.equal(sums.get("lake_bytes_total"), files.reduce((sum, { bytes }) => sum + bytes, 0));
    }),
);
