/**
 * Sound and rejected ticks into the hot store, each once: rows and the place's offset in one transaction.
 *
 * **In** `ticks.valid`, `ticks.rejected`, **Out** the tables of `lib/table.ts` and `rejected`.
 * **Knows** `fence`, `hot`, `table`, `stage`, `crew`.
 */
import { start } from "../lib/crew.ts";
import { type Fence, type Holding, rejectedOf, startOf, validOf } from "../lib/fence.ts";
import { Fenced, reasonOf } from "../lib/failure.ts";
import type { HotTable } from "../lib/hot.ts";
import { defineStage } from "../lib/stage.ts";
import { rejectedRowOf, type Row, rowOf, TABLE_OF } from "../lib/table.ts";
import { type Batch, TOPICS } from "../lib/transport.ts";

/** A partition in hand. */
interface Seat {
  held: Holding;
  readonly fence: Fence;
  /** The commit in flight: those of a place follow each other, those of several go side by side. */
  applied: Promise<void>;
  /** Why its last commit failed, when another one has the place. Whether it is still ours, the stream says next. */
  fenced: Fenced | null;
}

/** A batch's rows by table, how many they are, and the time of the last event. */
interface Load {
  readonly rows: Partial<Record<HotTable, Row[]>>;
  readonly count: number;
  readonly newest: number;
}

const stage = defineStage({
  name: "sink-hot",
  does: "stores sound and rejected ticks in SQLite or Postgres, each once",
  reads: [TOPICS.valid, TOPICS.rejected],
  writes: [],
  needs: ["hot"],
  flags: {
    "accept-gap": {
      kind: "switch",
      does: "gives up what the log lost before it was applied, records which, and goes on",
    },
  },
  examples: ["deno task sink-hot --once", "deno task sink-hot --hot postgres://market@localhost/market"],
  async run({ receive, hot, log, applied, meanwhile, tally, values, world, drain }) {
    const seats = new Map<string, Seat>();
    const begin = async (topic: string, partition: number, range: { low: number; high: number }): Promise<number> => {
      // Taking a place again raises its epoch, which would refuse a commit of ours that is in flight.
      await seats.get(`${topic}/${partition}`)?.applied;
      const place = { sink: "sink-hot", topic, partition };
      const { identity } = await log.topic(topic);
      const { held, fence } = await startOf(hot, place, identity, range, values["accept-gap"]);
      seats.set(`${topic}/${partition}`, { held, fence, applied: Promise.resolve(), fenced: null });
      return held.next;
    };
    // Whoever comes next finds the commit in flight done, or has fenced it already.
    const end = async (topic: string, partition: number): Promise<void> => {
      await seats.get(`${topic}/${partition}`)?.applied;
      seats.delete(`${topic}/${partition}`);
    };
    const apply = async (batch: Batch, seat: Seat, { rows, count, newest }: Load, origin: number): Promise<void> => {
      seat.held = await hot.apply({ held: seat.held, next: batch.next, origin, rows });
      if (batch.topic === TOPICS.valid) applied(batch.partition, origin, count, newest);
      for (const [table, list] of Object.entries(rows)) tally.add("db_inserts_total", list.length, table);
      await batch.ack();
    };
    const keep = (seat: Seat) => (error: unknown): void => {
      if (!(error instanceof Fenced)) throw error;
      seat.fenced = error;
    };
    let repeats = 0;
    for await (const batch of receive({ start: begin, stop: end })) {
      const seat = seats.get(`${batch.topic}/${batch.partition}`);
      if (seat === undefined) continue;
      // Given more of a place that another one has taken, it is a zombie.
      if (seat.fenced !== null) throw seat.fenced;
      const before = seat.fence.repeats;
      const durable = log.sync(batch.topic, batch.partition, batch.next);
      meanwhile(durable);
      const load = rowsOf(batch, seat.fence);
      tally.add("stage_repeats_total", seat.fence.repeats - before, "sink-hot");
      repeats += seat.fence.repeats - before;
      await durable;
      await seat.applied;
      // Behind a gap the place stays where the gap ends until there is something to apply.
      if (seat.fenced !== null || (load.count === 0 && seat.fence.isBehindGap)) continue;
      seat.applied = apply(batch, seat, load, seat.fence.last).catch(keep(seat));
      meanwhile(seat.applied);
      // A drained stream may end here, and another one have the place at once.
      if (drain.aborted && batch.next >= batch.high) await seat.applied;
    }
    // The stream has ended, and with it every place is given up: another one may have it at once, and does again what was
    // in flight.
    for (const [place, seat] of seats) {
      await seat.applied;
      if (seat.fenced !== null) world.report(`left ${place} to who has it now: ${reasonOf(seat.fenced)}`);
    }
    return { repeats, tryThis: hot.tryThis };
  },
});

/** The rows of the batch's messages that were not applied yet, by table. */
function rowsOf(batch: Batch, fence: Fence): Load {
  const rows: Partial<Record<HotTable, Row[]>> = {};
  let count = 0;
  let newest = 0;
  for (const record of batch.records) {
    if (batch.topic === TOPICS.rejected) {
      const rejected = rejectedOf(record, batch);
      if (!fence.admits(rejected.origin, rejected.previous)) continue;
      (rows.rejected ??= []).push(rejectedRowOf(rejected));
    } else {
      const tick = validOf(record, batch);
      if (!fence.admits(tick.origin, tick.previous)) continue;
      (rows[TABLE_OF[tick.type]] ??= []).push(rowOf(tick, batch.partition));
      newest = tick.eventTime;
    }
    count++;
  }
  return { rows, count, newest };
}

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
