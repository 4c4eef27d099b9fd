/**
 * A flow in this thread, stage after stage, for tests: embedded in a folder that is removed afterwards, or elsewhere when
 * `places` says so.
 */
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { COMMON, readFlags } from "../lib/flag.ts";
import { type Outcome, perform, type Setting, type Stage, type Word } from "../lib/stage.ts";
import { openTransport, TOPICS, type Transport } from "../lib/transport.ts";

const never = new AbortController().signal;
const at_once = AbortSignal.abort();

/** Where a flow lies; embedded unless it says otherwise. */
export const places = new Map<string, { readonly transport: string; readonly hot: string }>();

/** Who hears what the stages of a flow say. */
export const listeners = new Map<string, (word: Word) => void>();

/** How a stage is set to run where the flow lies. */
export function settingOf(stage: Stage, data: string, args: readonly string[]): Setting {
  return {
    transport: `log:${data}/log?fsync=never`,
    to: null,
    hot: `sqlite:${data}/hot.db`,
    ...places.get(data),
    lake: `file:${data}/lake`,
    partitions: 2,
    create: true,
    retryForMs: 0,
    values: readFlags({ ...stage.flags, ...COMMON }, args, () => undefined),
    env: {},
  };
}

export async function run(stage: Stage, data: string, ...args: string[]): Promise<Outcome> {
  return await perform(stage, settingOf(stage, data, args), listeners.get(data) ?? (() => {}), never, at_once);
}

export async function flow(data: string): Promise<void> {
  await run(validate, data);
  await run(sinkHot, data);
  await run(sinkCold, data, "--unit-rows", "1000");
}

export async function withData(use: (data: string) => Promise<void>): Promise<void> {
  const data = await Deno.makeTempDir();
  try {
    await use(data);
  } finally {
    await Deno.remove(data, { recursive: true });
  }
}

/** How a log is looked at. */
export const looking = {
  now: () => 0,
  env: () => undefined,
  report: () => {},
  retryForMs: 0,
  isLooking: true,
} as const;

/** Looks into the log of a data folder. */
export async function withLog<T>(data: string, use: (log: Transport) => Promise<T>): Promise<T> {
  const log = await openTransport(`log:${data}/log`, looking);
  try {
    return await use(log);
  } finally {
    await log.close();
  }
}

/** Every message of `ticks.raw`, partition by partition. */
export function ticksIn(data: string): Promise<unknown[]> {
  return withLog(data, async (log) => {
    const all: unknown[] = [];
    for (const [partition, { low, high }] of (await log.ranges(TOPICS.raw)).entries()) {
      for await (const records of log.read(TOPICS.raw, partition, low, high)) {
        all.push(...records.map(({ key, value }) => [partition, key, value]));
      }
    }
    return all;
  });
}
