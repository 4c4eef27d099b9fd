/**
 * Sound and rejected ticks into the hot store, each once: rows and the place's offset in one transaction.
 *
 * **In** `ticks.valid`, `ticks.rejected`, **Out** the tables of `lib/table.ts` and `rejected`.
 * **Knows** `fence`, `hot`, `table`, `stage`, `crew`.
 */
import { start } from "../lib/crew.ts";
import { Fence, type Holding, messageOf, startOf } from "../lib/fence.ts";
import type { HotTable } from "../lib/hot.ts";
import { defineStage } from "../lib/stage.ts";
import { rejectedRowOf, type Row, rowOf, TABLE_OF } from "../lib/table.ts";
import type { Rejected, ValidTick } from "../lib/tick.ts";
import { type Batch, TOPICS } from "../lib/transport.ts";

const stage = defineStage({
  name: "sink-hot",
  does: "stores sound and rejected ticks in SQLite or Postgres, each once",
  reads: [TOPICS.valid, TOPICS.rejected],
  writes: [],
  needs: ["hot"],
  flags: {
    start: {
      kind: "choice",
      of: ["stored", "earliest"],
      default: "stored",
      does: "where to begin when the log has lost its beginning",
    },
  },
  examples: ["deno task sink-hot --once", "deno task sink-hot --hot postgres://user@localhost/market"],
  async run({ receive, hot, log, applied, tally, values }) {
    const seats = new Map<string, { held: Holding; fence: Fence }>();
    const begin = async (topic: string, partition: number, range: { low: number; high: number }): Promise<number> => {
      const place = { sink: "sink-hot", topic, partition };
      const earliest = values.start === "earliest" ? range.low : undefined;
      const held = await startOf(hot, place, await log.identity(topic), range, earliest);
      seats.set(`${topic}/${partition}`, { held, fence: new Fence(place, held.origin) });
      return held.next;
    };
    let repeats = 0;
    for await (const batch of receive({ start: begin })) {
      const seat = seats.get(`${batch.topic}/${batch.partition}`)!;
      const before = seat.fence.repeats;
      const durable = log.sync(batch.topic, batch.partition);
      const { rows, count, newest } = rowsOf(batch, seat.fence);
      await durable;
      seat.held = await hot.apply({ held: seat.held, next: batch.next, origin: seat.fence.last, rows });
      if (batch.topic === TOPICS.valid) applied(batch.partition, seat.fence.last, count, newest);
      for (const [table, list] of Object.entries(rows)) tally.add("db_inserts_total", list.length, table);
      tally.add("stage_repeats_total", seat.fence.repeats - before, "sink-hot");
      repeats += seat.fence.repeats - before;
      await batch.ack();
    }
    return { repeats, tryThis: hot.tryThis };
  },
});

/** The rows of the batch's messages that were not applied yet, by table. */
function rowsOf(batch: Batch, fence: Fence): { rows: Partial<Record<HotTable, Row[]>>; count: number; newest: number } {
  const rows: Partial<Record<HotTable, Row[]>> = {};
  let count = 0;
  let newest = 0;
  for (const record of batch.records) {
    if (batch.topic === TOPICS.rejected) {
      const rejected = messageOf<Rejected>(record, batch);
      if (!fence.admits(rejected.origin, rejected.previous)) continue;
      (rows.rejected ??= []).push(rejectedRowOf(rejected));
    } else {
      const tick = messageOf<ValidTick>(record, batch);
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
