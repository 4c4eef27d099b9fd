/**
 * A clean day in log, lake and hot store, and folders beside it in which one of the two stores holds what it is told to
 * hold. All of them share the log of the clean day: no defect is in it.
 */
import { openHot } from "../lib/hot.ts";
import { openLake, type Unit } from "../lib/lake.ts";
import { Market, START_MICROS } from "../lib/market.ts";
import { Draft, read, Views, write } from "../lib/parquet.ts";
import { type Row, rowOf, TABLE_OF, type TableName, TABLES, tickOf } from "../lib/table.ts";
import type { ValidTick } from "../lib/tick.ts";
import { openTransport, TOPICS } from "../lib/transport.ts";
import type { Day, Held } from "./defects.ts";
import { flow, looking, places } from "./flow.ts";

const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 } as const;

export const DATE = "2026-11-20";
const TICKS = 3_000;
/** The market's time goes by so much more slowly that its ticks fill some minutes. */
const SLOWER = 2_000;

/** A clean day: where it lies, and what both of its stores hold. */
export interface Clean {
  readonly data: string;
  readonly ticks: readonly Held[];
  /** What the lake's ledger names. */
  readonly units: readonly Unit[];
}

/** Makes a clean day of the simulated market, judged and in both stores. */
export async function cleanDay(data: string, seed: number): Promise<Clean> {
  const market = new Market({ seed, symbols: 4 });
  const log = await openTransport(`log:${data}/log?fsync=never`, world);
  try {
    for (const topic of Object.values(TOPICS)) await log.create(topic, 1);
    const instruments = { control: "instruments", venue: "sim", instruments: market.instruments };
    const messages = market.fill(TICKS).map(({ key, value }) => {
      const tick = JSON.parse(value as string);
      const eventTime = START_MICROS + (tick.eventTime - START_MICROS) * SLOWER;
      const receivedTime = eventTime + tick.receivedTime - tick.eventTime;
      return { key, value: JSON.stringify({ ...tick, eventTime, receivedTime }) };
    });
    await log.append(TOPICS.raw, 0, [{ key: null, value: JSON.stringify(instruments), control: true }, ...messages]);
  } finally {
    await log.close();
  }
  await flow(data);
  const lake = await openLake(`file:${data}/lake`, looking);
  try {
    const units = await lake.units();
    const ticks: Held[] = [];
    for (const { table, path } of units.flatMap(({ files }) => files)) {
      for (const row of await read(TABLES[table], await Deno.readFile(`${lake.root}/${path}`))) {
        ticks.push({ ...tickOf(table, row), origin: row[1] as number });
      }
    }
    return { data, ticks: ticks.sort((a, b) => a.origin - b.origin), units };
  } finally {
    await lake.close();
  }
}

/** What a store of the clean day holds, for a defect to be planted in. */
export function dayOf({ ticks, units }: Clean): Day {
  const files = units.flatMap(({ files }) => files).filter(({ table }) => table === "trades").length;
  return { ticks: [...ticks], files, retyped: null };
}

/** Makes a folder whose lake holds what the day says, and whose hot store is the clean one. */
export async function struckLake({ data, units }: Clean, to: string, day: Day): Promise<void> {
  await copyFolder(`${data}/lake`, `${to}/lake`);
  places.set(to, { transport: `log:${data}/log?fsync=never`, hot: `sqlite:${data}/hot.db` });
  for (const { first, last, files } of units) {
    for (const { table, path } of files) {
      const draft = new Draft(TABLES[table]);
      for (const [of, row, origin] of rowsOf(day)) {
        if (of === table && origin >= first && origin <= last) draft.add(row);
      }
      await Deno.writeFile(`${to}/lake/${path}`, await write(0, draft));
      if (day.retyped !== null && table === "trades") await retype(`${to}/lake/${path}`, day.retyped);
    }
  }
}

/** Makes a folder whose hot store, empty until then, holds what the day says, and whose lake is the clean one. */
export async function struckHot({ data }: Clean, to: string, url: string, day: Day): Promise<void> {
  await copyFolder(`${data}/lake`, `${to}/lake`);
  places.set(to, { transport: `log:${data}/log?fsync=never`, hot: url });
  const sound = await openHot(`sqlite:${data}/hot.db`, looking);
  const struck = await openHot(url, world);
  try {
    for (const { identity, next, origin, ...place } of await sound.holdings()) {
      const rows: Partial<Record<TableName, Row[]>> = {};
      if (place.topic === TOPICS.valid) { for (const [table, row] of rowsOf(day)) (rows[table] ??= []).push(row); }
      await struck.apply({ held: await struck.begin(place, identity, 0), next, origin, rows });
    }
  } finally {
    await struck.close();
    await sound.close();
  }
}

/** The rows of a day, each between its table and its origin. */
function rowsOf({ ticks }: Day): readonly (readonly [TableName, Row, number])[] {
  return ticks.map((tick) => [TABLE_OF[tick.type], rowOf(tick as unknown as ValidTick, 0), tick.origin]);
}

async function retype(path: string, types: Readonly<Record<string, string>>): Promise<void> {
  using views = await Views.open();
  await views.define("file", [await Deno.readFile(path)]);
  const casts = Object.entries(types).map(([name, type]) => `CAST(${name} AS ${type}) AS ${name}`);
  await views.copy(`SELECT * REPLACE (${casts.join(", ")}) FROM file`, path);
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}
