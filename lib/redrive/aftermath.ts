/**
 * What runs have sent, and what became of it: which letters, and how many messages were let pass, were rejected again or
 * are not judged yet, as far as the log still tells it, and the hot store where the log does not.
 *
 * **In** runs, the log, letters of the hot store, **Out** numbers of each run; places of letters.
 * **Knows** `redrive`, `letter`, `fence`, `transport`.
 */
import { rejectedOf } from "../fence.ts";
import { type Letters, placeOf } from "../letter.ts";
import { type Range, TOPICS, type Transport } from "../transport.ts";
import { judgedIn } from "./echo.ts";
import type { Run } from "./history.ts";

type Log = Pick<Transport, "read">;
type Topic = typeof TOPICS.raw | typeof TOPICS.valid | typeof TOPICS.rejected;

/** What became of a run's messages. */
export interface Aftermath {
  /** Null where the log has lost what was rejected since, and no store kept it. */
  readonly accepted: number | null;
  readonly rejected: number | null;
  readonly unjudged: number;
}

/** What became of the messages of each run, in the order of the runs. `stored` are the letters of the hot store, if any. */
export async function aftermathOf(
  runs: readonly Run[],
  { log, ranges, stored }: {
    readonly log: Log;
    readonly ranges: (topic: Topic) => Promise<readonly Range[]>;
    readonly stored: Letters | null;
  },
): Promise<Aftermath[]> {
  const topic = TOPICS.rejected;
  const [valid, rejected, raw] = [await ranges(TOPICS.valid), await ranges(topic), await ranges(TOPICS.raw)];
  const found = runs.map(() => ({ rejected: 0, unjudged: 0, isKnown: true }));
  for (const [partition, { low: rawLow }] of raw.entries()) {
    /** Runs that sent something here; and the origins of what was rejected again, each once. */
    const here = runs.flatMap((run, i) => {
      const [from, next, sent] = [run.from[partition]!, run.next[partition]!, run.sentIn[partition] ?? 0];
      return sent === 0 ? [] : [{ run, sum: found[i]!, from, next, sent, again: new Set<number>() }];
    });
    if (here.length === 0) continue;
    const { low, high } = rejected[partition] ?? { low: 0, high: 0 };
    let judged = await judgedIn(log, partition, valid[partition]);
    for (const { run, sum, from, next, again } of here) {
      if (run.rejectedFrom[partition]! >= low) continue;
      if (stored === null) sum.isKnown = false;
      else {
        for await (const letters of stored.read(partition, from, next)) {
          for (const { origin, replays } of letters) if (replays > 0) again.add(origin);
        }
      }
    }
    const first = Math.max(low, Math.min(...here.map(({ run }) => run.rejectedFrom[partition]!)));
    if (first < high) {
      for await (const records of log.read(topic, partition, first, high)) {
        for (const record of records) {
          const { origin, replays } = rejectedOf(record, { topic, partition });
          judged = Math.max(judged, origin + 1);
          if (replays > 0) here.findLast(({ from, next }) => origin >= from && origin < next)?.again.add(origin);
        }
      }
    }
    for (const { run, sum, from, next, sent, again } of here) {
      sum.rejected += again.size;
      if (judged >= next) continue;
      sum.unjudged += judged <= from
        ? sent
        : (await sentBy(run, log, partition, Math.max(judged, rawLow), next)).length;
    }
  }
  return runs.map(({ sent }, i) => {
    const { rejected, unjudged, isKnown } = found[i]!;
    return isKnown
      ? { accepted: sent - rejected - unjudged, rejected, unjudged }
      : { accepted: null, rejected: null, unjudged };
  });
}

/** The places of all letters that runs have sent, and how many more they sent that the log has lost since. */
export async function sentOf(
  runs: readonly Run[],
  log: Log,
  raw: readonly Range[],
): Promise<{ readonly places: ReadonlySet<string>; readonly lost: number }> {
  const places = new Set<string>();
  let lost = 0;
  for (const run of runs) {
    for (const [partition, { low }] of raw.entries()) {
      const sent = run.sentIn[partition] ?? 0;
      if (sent === 0) continue;
      const from = Math.max(low, run.from[partition]!);
      const origins = await sentBy(run, log, partition, from, run.next[partition]!);
      for (const origin of origins) places.add(placeOf({ partition, origin }));
      lost += sent - origins.length;
    }
  }
  return { places, lost };
}

/** Origins of the letters whose messages of the run lie in these offsets. */
async function sentBy({ id }: Run, log: Log, partition: number, from: number, next: number): Promise<number[]> {
  const origins: number[] = [];
  if (from >= next) return origins;
  for await (const records of log.read(TOPICS.raw, partition, from, next)) {
    for (const { producer } of records) if (producer?.id === id) origins.push(producer.number);
  }
  return origins;
}
