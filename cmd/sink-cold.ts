/**
 * Sound ticks into the Parquet lake, each once: a unit of origins is cut by content, published whole, and named by one
 * line of the ledger.
 *
 * **In** `ticks.valid`, **Out** the lake's files and ledger.
 * **Knows** `fence`, `lake`, `table`, `transport`, `stage`, `crew`, `failure`.
 */
import { start } from "../lib/crew.ts";
import { Refusal } from "../lib/failure.ts";
import { type Fence, type Holding, startOf, validOf } from "../lib/fence.ts";
import { type Sheet, UNIT_ROWS, UNIT_SIZE } from "../lib/lake.ts";
import { defineStage } from "../lib/stage.ts";
import { rowOf, TABLE_OF } from "../lib/table.ts";
import { type Batch, type Range, TOPICS, type Transport } from "../lib/transport.ts";

/** A partition in hand: what the lake holds of it, and the unit in the making. */
interface Seat {
  held: Holding;
  sheet: Sheet;
  readonly fence: Fence;
  /** The cut that an earlier owner bound its successors to. */
  cut: number | null;
  /** Offset to resume at once the sheet is published. */
  next: number;
  /** The last batch that was read whole, until what it holds is applied. */
  read: Batch | null;
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
  async run({ receive, lake, log, applied, tally, values, signal, drain }) {
    const seats = new Map<number, Seat>();
    let units = 0;
    let repeats = 0;
    const begin = async (topic: string, partition: number, range: Range): Promise<number> => {
      const place = { sink: "sink-cold", topic, partition };
      const { identity } = await log.topic(topic);
      const { held, fence } = await startOf(lake, place, identity, range, values["accept-gap"]);
      const cut = lake.intended(held)?.last ?? null;
      if (cut !== null && !await reaches(log, held, range.high, cut)) throw uncut(held, cut, "ends before it");
      seats.set(partition, { held, sheet: lake.sheet(held), fence, cut, next: held.next, read: null });
      return held.next;
    };
    // Whoever comes next reads again what was not published.
    const end = async (_topic: string, partition: number): Promise<void> => {
      const seat = seats.get(partition);
      seats.delete(partition);
      if (seat !== undefined) await lake.release(seat.held);
    };
    /** A reader that has left its group at a drain may not tell it any more; then the next run does. */
    const acknowledge = async (seat: Seat): Promise<void> => {
      await seat.read?.ack();
      seat.read = null;
    };
    const publish = async (seat: Seat, next: number, isSeal = false): Promise<void> => {
      await log.sync(seat.held.topic, seat.held.partition, next);
      if (isSeal) {
        // A cut that the log alone would not give, so it is bound first; and only to what the log keeps.
        await lake.intend(seat.held, seat.sheet.first, seat.sheet.last);
      }
      const { rows, last } = seat.sheet;
      const { held, files } = await lake.publish(seat.held, seat.sheet, next);
      seat.held = held;
      seat.sheet = lake.sheet(held);
      seat.cut = null;
      units++;
      applied(held.partition, last, rows);
      for (const { table, bytes } of files) {
        tally.add("lake_files_total", 1, table);
        tally.add("lake_bytes_total", bytes);
      }
      await acknowledge(seat);
    };
    for await (const batch of receive({ start: begin, stop: end })) {
      const seat = seats.get(batch.partition)!;
      const before = seat.fence.repeats;
      for (const record of batch.records) {
        const tick = validOf(record, batch);
        if (!seat.fence.admits(tick.origin, tick.previous)) continue;
        if (seat.cut !== null && tick.origin > seat.cut) {
          throw uncut(seat.held, seat.cut, `goes on with origin ${tick.origin}`);
        }
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
      seat.read = batch;
      if (seat.sheet.rows === 0) await acknowledge(seat);
    }
    if (drain.aborted && !signal.aborted) {
      // What is left is sealed where it ends.
      for (const seat of seats.values()) if (seat.sheet.rows > 0) await publish(seat, seat.next, true);
    }
    return { units, repeats, tryThis: lake.tryThis };
  },
});

/** Whether the log, from where the holding stands, gets as far as a bound cut. What was judged twice comes out of order. */
async function reaches(log: Pick<Transport, "read">, held: Holding, high: number, cut: number): Promise<boolean> {
  for await (const records of log.read(held.topic, held.partition, held.next, high)) {
    if (records.some((record) => validOf(record, held).origin >= cut)) return true;
  }
  return false;
}

function uncut({ topic, partition }: Holding, cut: number, state: string): Refusal {
  return new Refusal(
    `Cannot close a unit of "${topic}/${partition}" at origin ${cut}, as an owner before has bound it: the log ${state}, must hold what it held then, or be stored in another --lake`,
  );
}

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
