/**
 * What the events of a feed mean to each symbol, as status ticks: `connected`, `subscribed`, `silent`, `disconnected`,
 * and `gap` where ticks may be missing between two.
 *
 * A gap is told when it is over, in front of the first tick after it: `firstId` is the last sequence before it, `lastId`
 * the first behind it, null where the venue gives none, `detail` whose they are. After a break none is told where the
 * numbers show that nothing is missing, and none where nothing had come before; where numbers leave no hole, one is told
 * without a break as well.
 * **In** events and ticks, in their order, **Out** status ticks. **Knows** `tick`, `venue`.
 */
import type { FeedEvent } from "../feed.ts";
import { isMicros, isSymbol, type Status, type Tick } from "../tick.ts";
import type { Venue } from "../venue.ts";

/** Ticks that share their numbers: a snapshot of a book and its changes count as one. */
export type Series = "trade" | "quote" | "book";

/** The series that the tick is of; null for a status. */
export function seriesOf({ type }: Tick): Series | null {
  return type === "status" ? null : type === "delta" ? "book" : type;
}

interface Known {
  /** The highest number, or the last where they may fall. */
  last: number | null;
  /** Whether something may be missing behind it. */
  isBroken: boolean;
}

/** Characters of a detail at most, as of every text of a tick. */
const DETAIL_LENGTH_MAX = 128;

export class Continuity {
  readonly #venue: Pick<Venue, "name" | "disciplines">;
  /** Of every symbol that was asked for. */
  readonly #symbols = new Map<string, Partial<Record<Series, Known>>>();
  /** Connections that there are, and the one beside which each was opened. */
  readonly #open = new Map<string, string | null>();

  constructor(venue: Pick<Venue, "name" | "disciplines">) {
    this.#venue = venue;
  }

  /** One status for each symbol that the event is about. A refused one is as good as disconnected. */
  event(event: FeedEvent): Status[] {
    const { symbols, receivedTime, connection } = event;
    switch (event.event) {
      case "connected":
        this.#open.set(connection, event.replaces);
        for (const symbol of symbols) if (!this.#symbols.has(symbol)) this.#symbols.set(symbol, {});
        return this.#all(symbols, receivedTime, "connected", connection);
      case "disconnected": {
        const { why, code, detail, successor } = event;
        const beside = this.#open.get(connection) ?? null;
        this.#open.delete(connection);
        // Heard until it was closed in order: nothing was missed. What ended otherwise may have lost its last words, or
        // those that counted instead of another's.
        if (successor !== null && why === "rollover") return [];
        for (const symbol of symbols) {
          for (const known of Object.values(this.#symbols.get(symbol) ?? {})) known.isBroken = true;
        }
        // The one after it, or the one that it was to replace, serves: nobody is disconnected.
        if (successor !== null || (beside !== null && this.#open.has(beside))) return [];
        return this.#all(
          symbols,
          receivedTime,
          "disconnected",
          [why, code, detail].filter((x) => x !== null).join(" "),
        );
      }
      case "refused":
        return this.#all(symbols, receivedTime, "disconnected", `refused ${event.detail}`);
      default:
        return this.#all(symbols, receivedTime, event.event, connection);
    }
  }

  /** What is to be told in front of these ticks, which came in this order at this time. */
  ticks(ticks: readonly Tick[], receivedTime: number): Status[] {
    const gaps: Status[] = [];
    for (const tick of ticks) {
      const series = seriesOf(tick);
      const symbol = this.#symbols.get(tick.symbol);
      // What was fetched afterwards says nothing of what is said now.
      if (series === null || symbol === undefined || tick.source === "backfill") continue;
      const known = symbol[series];
      const { sequence } = tick;
      if (known === undefined) {
        symbol[series] = { last: sequence, isBroken: false };
        continue;
      }
      const isHole = this.#venue.disciplines[tick.type] === "contiguous" && sequence !== null && known.last !== null &&
        sequence > known.last + 1;
      if (isHole || known.isBroken && !this.#follows(tick, known.last)) {
        gaps.push(...this.#all([tick.symbol], receivedTime, "gap", series, known.last, sequence));
      }
      known.isBroken = false;
      // A book may be begun again with lower numbers; a trade of long ago may be told again.
      if (sequence !== null) known.last = series === "trade" ? Math.max(sequence, known.last ?? 0) : sequence;
    }
    return gaps;
  }

  /** Whether the numbers show that nothing is missing between the last one and this tick. */
  #follows(tick: Tick, last: number | null): boolean {
    if (last === null || tick.sequence === null) return false;
    if (tick.type === "delta") {
      if (tick.previousId !== null) return tick.previousId === last;
      if (tick.firstId !== null) return tick.firstId <= last + 1;
    }
    if (this.#venue.disciplines[tick.type] === "contiguous") return tick.sequence <= last + 1;
    return tick.sequence === last;
  }

  #all(
    symbols: readonly string[],
    time: number,
    state: Status["state"],
    said: string,
    firstId: number | null = null,
    lastId: number | null = null,
  ): Status[] {
    if (!isMicros(time)) return [];
    const detail = said.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, " ").slice(0, DETAIL_LENGTH_MAX).toWellFormed() || null;
    const common = { eventTime: time, receivedTime: time, timeSource: "received", sequence: null, id: null } as const;
    const venue = this.#venue.name;
    return symbols.filter(isSymbol).map((symbol) => (
      { type: "status", venue, symbol, ...common, state, firstId, lastId, detail }
    ));
  }
}
