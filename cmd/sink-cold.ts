/**
 * Sound ticks into the Parquet lake, each once: a unit of origins is cut by content, published whole, and named by one
 * line of the ledger.
 *
 * **In** `ticks.valid`, **Out** the lake's files and ledger.
 * **Knows** `fence`, `lake`, `table`, `stage`, `crew`.
 */
import { start } from "../lib/crew.ts";
import { type Fence, type Holding, startOf, validOf } from "../lib/fence.ts";
import { type Sheet, UNIT_ROWS, UNIT_SIZE } from "../lib/lake.ts";
import { defineStage } from "../lib/stage.ts";
import { rowOf, TABLE_OF } from "../lib/table.ts";
import { TOPICS } from "../lib/transport.ts";

/** A partition in hand: what the lake holds of it, and the unit in the making. */
interface Seat {
  held: Holding;
  sheet: Sheet;
  readonly fence: Fence;
  /** The cut that an earlier owner bound its successors to. */
  cut: number | null;
  /** Offset to resume at once the sheet is published. */
  next: number;
}

const stage = defineStage({
  name: "sink-cold",
  does: "stores sound ticks as Parquet files with a ledger, each once",
  reads: [TOPICS.valid],
  writes: [],
  needs: ["lake"],
  flags: {
    "accept-gap": {
      kind: "switch",
      does: "gives up what the log lost before it was applied, records which, and goes on",
    },
    "unit-rows": {
      kind: "count",
      default: UNIT_ROWS,
      max: 2_000_000,
      unit: "rows",
      does: "applied rows after which a unit closes",
    },
  },
  examples: ["deno task sink-cold --once", "deno task sink-cold --lake file:/mnt/lake"],
  async run({ receive, lake, log, tally, values, signal, drain }) {
    const seats = new Map<number, Seat>();
    let units = 0;
    let repeats = 0;
    const begin = async (topic: string, partition: number, range: { low: number; high: number }): Promise<number> => {
      const place = { sink: "sink-cold", topic, partition };
      const { identity } = await log.topic(topic);
      const { held, fence } = await startOf(lake, place, identity, range, values["accept-gap"]);
      const cut = lake.intended(held)?.last ?? null;
      seats.set(partition, { held, sheet: lake.sheet(held), fence, cut, next: held.next });
      return held.next;
    };
    // Whoever comes next reads again what was not published.
    const end = async (_topic: string, partition: number): Promise<void> => {
      const seat = seats.get(partition);
      seats.delete(partition);
      if (seat !== undefined) await lake.release(seat.held);
    };
    const publish = async (seat: Seat, next: number): Promise<void> => {
      await log.sync(seat.held.topic, seat.held.partition);
      seat.held = await lake.publish(seat.held, seat.sheet, next);
      seat.sheet = lake.sheet(seat.held);
      seat.cut = null;
      units++;
    };
    for await (const batch of receive({ start: begin, stop: end })) {
      const seat = seats.get(batch.partition)!;
      const before = seat.fence.repeats;
      for (const record of batch.records) {
        const tick = validOf(record, batch);
        if (!seat.fence.admits(tick.origin, tick.previous)) continue;
        if (seat.cut === null && seat.sheet.rows > 0 && seat.sheet.overflows(tick.eventTime)) {
          await publish(seat, record.offset);
        }
        seat.sheet.add(TABLE_OF[tick.type], rowOf(tick, batch.partition));
        // A cut that an earlier owner bound is the only one until it is made.
        const full = seat.cut === null
          ? seat.sheet.rows >= values["unit-rows"] || seat.sheet.size >= UNIT_SIZE
          : tick.origin === seat.cut;
        if (full) await publish(seat, record.offset + 1);
      }
      seat.next = batch.next;
      tally.add("stage_repeats_total", seat.fence.repeats - before, "sink-cold");
      repeats += seat.fence.repeats - before;
      await batch.ack();
    }
    if (drain.aborted && !signal.aborted) {
      // What is left is sealed where it ends: a cut that the log alone would not give, so it is bound first.
      for (const seat of seats.values()) {
        if (seat.sheet.rows === 0) continue;
        await lake.intend(seat.held, seat.sheet.first, seat.sheet.last);
        await publish(seat, seat.next);
      }
    }
    return { units, repeats, tryThis: lake.tryThis };
  },
});

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
