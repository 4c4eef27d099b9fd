/**
 * Trades of a feed that tells not each of them but how much was traded in the session so far: what the total grew by is
 * one trade at the last price, its side unknown and its source `conflated`. What grew while nobody listened is one as well.
 *
 * A total says nothing alone, so the first of a symbol only begins; the first of a session after one that was heard is all
 * that was traded in it. Within a session a total that falls begins anew where its last trade is later than the one before;
 * else it is an old message, and does not count.
 *
 * **In** volumes in the order in which they came, **Out** trades. **Knows** `venue`, `tick`, `decimal`.
 */
import { compare, scaled, scaleOf, sign, unscaled } from "./decimal.ts";
import type { Trade } from "./tick.ts";
import type { Volume } from "./venue.ts";

/** Symbols of which a total is remembered. */
export const SYMBOLS_MAX = 10_000;

/** Per symbol, the one longest unheard first: its last total, when it was traded, and the session. Fit for JSON. */
export type SavedTotals = readonly (readonly [symbol: string, total: string, tradedAt: number, session: number])[];

type Last = Pick<Volume, "total" | "tradedAt" | "session">;

/** Of one venue. Beyond `symbolsMax` the symbol longest unheard is forgotten: its next total begins anew. */
export class Conflation {
  readonly #venue: string;
  readonly #symbolsMax: number;
  /** In the order in which they were heard. */
  readonly #last = new Map<string, Last>();

  constructor(venue: string, saved: SavedTotals = [], symbolsMax = SYMBOLS_MAX) {
    this.#venue = venue;
    this.#symbolsMax = symbolsMax;
    for (const [symbol, total, tradedAt, session] of saved) this.#last.set(symbol, { total, tradedAt, session });
  }

  /** The trades that these volumes show, in their order. */
  trades(volumes: readonly Volume[]): Trade[] {
    const trades: Trade[] = [];
    for (const volume of volumes) {
      const size = this.#grown(volume);
      if (size === null) continue;
      const { symbol, price, tradedAt, receivedTime } = volume;
      trades.push({
        type: "trade",
        venue: this.#venue,
        symbol,
        eventTime: tradedAt,
        receivedTime,
        sequence: null,
        id: null,
        source: "conflated",
        price,
        size,
        side: "unknown",
      });
    }
    return trades;
  }

  /** What it remembers, for another one to go on from. */
  save(): SavedTotals {
    return Array.from(this.#last, ([symbol, { total, tradedAt, session }]) => [symbol, total, tradedAt, session]);
  }

  /** What was traded since the last volume of the symbol; null where that is nothing, or not known. */
  #grown({ symbol, total, tradedAt, session }: Volume): string | null {
    const last = this.#last.get(symbol);
    this.#last.delete(symbol);
    const change = last === undefined ? 0 : compare(total, last.total);
    const isOld = last !== undefined && (session < last.session || change < 0 && tradedAt <= last.tradedAt);
    this.#last.set(symbol, isOld ? last : { total, tradedAt, session });
    if (this.#last.size > this.#symbolsMax) this.#last.delete(this.#last.keys().next().value!);
    if (isOld || last === undefined) return null;
    if (session > last.session) return sign(total) > 0 ? total : null;
    if (change <= 0) return null;
    const scale = Math.max(scaleOf(total), scaleOf(last.total));
    return scaled(unscaled(total, scale) - unscaled(last.total, scale), scale);
  }
}
