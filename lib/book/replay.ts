/**
 * The book of one instrument as it stood at a time, from what was stored of it, by the machine that kept it live.
 *
 * **In** stored ticks in the order in which they came, **Out** a book. **Knows** `tick`, `venue`.
 */
import { type BookRead, Keeper } from "../book.ts";
import type { Status, Tick } from "../tick.ts";
import type { BookDiscipline } from "../venue.ts";

export interface Replay {
  readonly venue: string;
  readonly symbol: string;
  readonly discipline: BookDiscipline;
  /** Depths that can be subscribed to, where the venue does not say which levels fall out, rising. */
  readonly depths?: readonly number[];
  /** The last event that counts is at this time of the venue's clock, µs. */
  readonly time: number;
  /** Hears of each time that the book was begun, with null, and that it could not go on, with the gap that says why. */
  readonly hear?: (gap: Status | null) => void;
}

/** Gaps of trades and quotes leave the book as it is. */
const OTHERS: readonly (string | null)[] = ["trade", "quote"];

/**
 * Undefined where no book was in sync then: begin with a snapshot before the time, or with the events buffered for one.
 * Checksums and numbers of frames are not stored; where they are the proof, it is the stored `gap` that ends a book.
 */
export async function bookAt(ticks: AsyncIterable<Tick>, replay: Replay): Promise<BookRead | undefined> {
  const { venue, symbol, discipline, depths, time, hear } = replay;
  // How long a cross may last was decided by who kept the book; it is stored as a gap.
  const keeper = new Keeper({ discipline, crossedForMs: Infinity, ...(depths === undefined ? {} : { depths }) });
  for await (const tick of ticks) {
    if (tick.venue !== venue || tick.symbol !== symbol || tick.type === "trade" || tick.type === "quote") continue;
    if (tick.eventTime > time) {
      // Our clock may be ahead of the venue's: what it dates later is left out, but events in time may follow.
      if (tick.timeSource === "received") continue;
      break;
    }
    if (tick.type === "status" && tick.state === "gap" && OTHERS.includes(tick.detail)) continue;
    const was = keeper.stateOf(symbol);
    const { ticks: said } = keeper.take({ kind: tick.type, ticks: [tick] });
    const is = keeper.stateOf(symbol);
    if (is === "synced" && was !== is) hear?.(null);
    const gap = said.find((one) => one.type === "status" && one.state === "gap");
    // Where there was no book, one that is stored is no news.
    if (gap?.type === "status" && (was === "synced" || gap !== tick)) hear?.(gap);
  }
  return keeper.read(symbol);
}
