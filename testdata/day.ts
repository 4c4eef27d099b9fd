/** A day of ticks as files that checks can be asked of, and a run of a suite on it. */
import { type Files, type Ground, runSuite, type Suite } from "../lib/check.ts";
import { Draft, write } from "../lib/parquet.ts";
import { rowOf, TABLE_OF, type TableName, TABLES } from "../lib/table.ts";
import type { Tick, ValidTick } from "../lib/tick.ts";

/** The files of ticks in the order of their arrival, all in partition 0. */
export async function filesOf(ticks: readonly Tick[]): Promise<Partial<Record<TableName, Uint8Array[]>>> {
  const drafts = new Map<TableName, Draft>();
  ticks.forEach((tick, origin) => {
    const table = TABLE_OF[tick.type];
    const draft = drafts.get(table) ?? new Draft(TABLES[table]);
    drafts.set(table, draft);
    draft.add(rowOf({ ...tick, origin, previous: origin - 1 } as ValidTick, 0));
  });
  const files: Partial<Record<TableName, Uint8Array[]>> = {};
  for (const [table, draft] of drafts) files[table] = [await write(0, draft)];
  return files;
}

/** The ticks of a text of one JSON object a line. */
export const ticksOf = (text: string): readonly Tick[] =>
  text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Tick);

/** Runs a suite on files of one date; `ground` changes what the run stands on. */
export async function runOn(
  suite: Suite,
  date: string,
  files: Files,
  ground: Partial<Ground> = {},
): ReturnType<typeof runSuite> {
  return await runSuite(suite, {
    ...{ dates: [date], symbol: null, terms: [], texts: new Map(), shelf: null, draws: false },
    files: () => Promise.resolve(files),
    limits: { lateMsMax: 1_000, futureMsMax: 5_000 },
    signal: new AbortController().signal,
    ...ground,
  });
}
