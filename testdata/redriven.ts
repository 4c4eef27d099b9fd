/**
 * Tapes for tests of `redrive`. Two of one market: one whose rules were wrong at first and mended halfway, and one that had
 * the mended rules from the start; the same ticks have the same offsets in both. And small ones in memory.
 */
import assert from "@std/assert";
import simulate from "../cmd/simulate.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { openHot } from "../lib/hot.ts";
import { openLake } from "../lib/lake.ts";
import { HOT_TABLES } from "../lib/schema.ts";
import { type Row, TABLE_NAMES } from "../lib/table.ts";
import type { Outcome } from "../lib/stage.ts";
import { keyOf } from "../lib/tick.ts";
import { type Message, openTransport, TOPICS, type Transport } from "../lib/transport.ts";
import { places, run, settingOf } from "./flow.ts";

export const world = { now: () => 1_763_690_000_000, env: () => undefined, report: () => {}, retryForMs: 0 };
const PARTITIONS = 2;
type Fields = Readonly<Record<string, unknown>>;

/** The messages of a simulated market, partition by partition, without its control records; and its instruments. */
export async function marketOf(
  data: string,
  ...args: string[]
): Promise<{ readonly ticks: readonly Message[][]; readonly instruments: readonly Fields[] }> {
  await run(simulate, data, ...args);
  const log = await openTransport(settingOf(simulate, data, []).transport, world);
  try {
    const ticks: Message[][] = [];
    let instruments: readonly Fields[] = [];
    for (const [partition, { low, high }] of (await log.ranges(TOPICS.raw)).entries()) {
      const list: Message[] = [];
      for await (const records of log.read(TOPICS.raw, partition, low, high)) {
        for (const { key, value, control } of records) {
          if (control) instruments = JSON.parse(String(value)).instruments ?? instruments;
          else list.push({ key, value });
        }
      }
      ticks.push(list);
    }
    return { ticks, instruments };
  } finally {
    await log.close();
  }
}

/** Rules in force: the control records that say so. */
export const rulesOf = (instruments: readonly Fields[], limits: Fields): Message[] =>
  [{ control: "instruments", venue: "sim", instruments }, { control: "limits", ...limits }]
    .map((value) => ({ key: null, value: JSON.stringify(value), control: true }));

/** Appends to an embedded log: `before`, a share of the ticks, `after`, and the others. */
export async function tapeOf(
  data: string,
  ticks: readonly Message[][],
  before: readonly Message[],
  after: readonly Message[],
  share = 0.6,
): Promise<void> {
  await withLog(data, async (log) => {
    for (const topic of Object.values(TOPICS)) await log.create(topic, ticks.length);
    for (const [partition, list] of ticks.entries()) {
      const half = Math.floor(list.length * share);
      await log.append(TOPICS.raw, partition, [...before, ...list.slice(0, half), ...after, ...list.slice(half)]);
    }
  });
}

export async function withLog<T>(data: string, use: (log: Transport) => Promise<T>): Promise<T> {
  const log = await openTransport(settingOf(simulate, data, []).transport, world);
  try {
    return await use(log);
  } finally {
    await log.close();
  }
}

/** Columns in which a redriven row may differ from one that was sound at once. */
const OWN = new Set(["origin", "source", "flags"]);

/**
 * What hot store and lake hold, table by table: each row as text, without what a redriven row has of its own, behind the
 * place where its tick first came.
 */
export async function contentOf(data: string): Promise<{ readonly hot: string[]; readonly cold: string[] }> {
  const { hot: hotUrl, lake: lakeUrl } = settingOf(simulate, data, []);
  const firsts = await firstsOf(data);
  const shown = (table: (typeof TABLE_NAMES)[number], row: Row): string => {
    const [partition, origin] = row as [number, number];
    const cells = row.filter((_, i) => !OWN.has(HOT_TABLES[table][i]!.name));
    return `${table} ${firsts.get(`${partition}/${origin}`) ?? `ticks.raw/${partition}/${origin}`} ${
      JSON.stringify(cells)
    }`;
  };
  const hot: string[] = [], cold: string[] = [];
  const store = await openHot(hotUrl, world);
  for (const table of TABLE_NAMES) {
    for (const partition of await store.partitions(table)) {
      for await (const rows of store.rows(table, partition, 0, Number.MAX_SAFE_INTEGER)) {
        hot.push(...rows.map((row) => shown(table, row)));
      }
    }
  }
  await store.close();
  const lake = await openLake(lakeUrl, world);
  for (const { files } of await lake.units()) {
    for (const file of files) cold.push(...(await lake.rows(file)).map((row) => shown(file.table, row)));
  }
  await lake.close();
  return { hot: hot.sort(), cold: cold.sort() };
}

/** Of each redriven tick that is sound, by its place: where it first came. */
export async function firstsOf(data: string): Promise<Map<string, string>> {
  return await withLog(data, async (log) => {
    const firsts = new Map<string, string>();
    for (const [partition, { low, high }] of (await log.ranges(TOPICS.valid)).entries()) {
      for await (const records of log.read(TOPICS.valid, partition, low, high)) {
        for (const { value } of records) {
          const { origin, redriven } = JSON.parse(String(value));
          if (redriven !== undefined) firsts.set(`${partition}/${origin}`, redriven.first);
        }
      }
    }
    return firsts;
  });
}

export const AT = Date.UTC(2026, 10, 20, 10) * 1_000;
let tapes = 0;

type Change = Readonly<Record<string, unknown>>;

/** A trade whose price is no multiple of 10 unless it is changed. */
export const trade = (sequence: number, change: Change = {}): Message => {
  const tick = {
    ...{
      type: "trade",
      venue: "sim",
      symbol: "A",
      eventTime: AT + sequence * 1_000,
      receivedTime: AT + sequence * 1_000,
    },
    ...{ sequence, id: String(sequence), price: "5", size: "1", side: "buy", ...change },
  };
  return { key: keyOf(tick as { venue: string; symbol: string }), value: JSON.stringify(tick) };
};
const stepOf = (tickSize: string): Message => ({
  key: null,
  value: JSON.stringify({
    ...{ control: "instruments", venue: "sim" },
    instruments: ["A", "B"].map((symbol) => ({ symbol, tickSize, lot: "1", negative: false })),
  }),
  control: true,
});

/** A tape in memory of these messages, judged and stored; `data` names it. */
export async function judged(...lists: readonly (readonly Message[])[]): Promise<{ data: string; log: Transport }> {
  const data = `redrive-${tapes++}`;
  places.set(data, { transport: `memory:${data}`, hot: `memory:${data}` });
  const log = await openTransport(`memory:${data}`, world);
  for (const topic of Object.values(TOPICS)) await log.create(topic, PARTITIONS);
  for (const [partition, list] of lists.entries()) {
    await log.append(TOPICS.raw, partition, [stepOf("10"), ...list]);
  }
  await settled(data);
  return { data, log };
}

export async function settled(data: string, ...args: string[]): Promise<void> {
  await run(validate, data, ...args);
  await run(sinkHot, data);
}

/** A control record in every partition. */
export async function say(log: Transport, value: Fields): Promise<void> {
  for (let partition = 0; partition < PARTITIONS; partition++) {
    await log.append(TOPICS.raw, partition, [{ key: null, value: JSON.stringify(value), control: true }]);
  }
}

/** Brings the mended rule into force. */
export async function mend(log: Transport): Promise<void> {
  for (let partition = 0; partition < PARTITIONS; partition++) await log.append(TOPICS.raw, partition, [stepOf("1")]);
}

/** What was redriven, by its first place and its replays; in the order in which it lies there. */
export async function redriven(log: Transport): Promise<string[]> {
  const found: string[] = [];
  for (const [partition, { low, high }] of (await log.ranges(TOPICS.raw)).entries()) {
    for await (const records of log.read(TOPICS.raw, partition, low, high)) {
      for (const { value, producer } of records) {
        if (!producer?.id.startsWith("redrive-")) continue;
        const { source, redriven } = JSON.parse(String(value));
        assert.equal(source, "redrive");
        found.push(`${redriven.first} ${redriven.replays}`);
      }
    }
  }
  return found;
}

export async function soundIn(log: Transport): Promise<Map<string, Record<string, unknown>>> {
  const sound = new Map<string, Record<string, unknown>>();
  for (const [partition, { low, high }] of (await log.ranges(TOPICS.valid)).entries()) {
    for await (const records of log.read(TOPICS.valid, partition, low, high)) {
      for (const { value } of records) {
        const tick = JSON.parse(String(value));
        const name = `${tick.symbol} ${tick.sequence}`;
        assert.ok(!sound.has(name), `${name} is sound twice`);
        sound.set(name, tick);
      }
    }
  }
  return sound;
}

export const countsOf = ({ redriven, letters, fates }: Outcome) => {
  const left = Object.fromEntries(Object.entries(fates as Record<string, number>).filter(([, n]) => n > 0));
  return { redriven, letters, ...left };
};

export async function rejectedIn(log: Transport): Promise<{ readonly counts: Record<string, number> }> {
  const counts: Record<string, number> = {};
  for (const [partition, { low, high }] of (await log.ranges(TOPICS.rejected)).entries()) {
    for await (const records of log.read(TOPICS.rejected, partition, low, high)) {
      for (const { value } of records) {
        const { reason } = JSON.parse(String(value));
        counts[reason] = (counts[reason] ?? 0) + 1;
      }
    }
  }
  return { counts };
}
