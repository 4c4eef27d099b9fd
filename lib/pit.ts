/**
 * The floor of a pretended venue: the seeded market in the venue's own words, a book around each of its prices, and what
 * each event becomes for those who listen. It goes on whether anybody does or not.
 *
 * **In** events of the market, **Out** happenings in their order; the same into the history.
 * **Knows** `market`, `listing`, `chance`, `depth`, `history`, `speech`.
 */
import { Chance } from "./chance.ts";
import { cut, Depth, isSame, type Row, rowsOf } from "./depth.ts";
import type { About, History, Shown, Trade } from "./history.ts";
import { listings, sizesOf } from "./listing.ts";
import { Market, START_MICROS } from "./market.ts";
import type { Floor, Happening, Instrument, Speech } from "./speech.ts";

export interface PitOptions {
  readonly seed: number;
  readonly symbols: number;
  readonly levels: number;
  readonly batch: number;
  /** µs; without it the market's own time. */
  readonly now?: (() => number) | undefined;
}

/** What happened, and what a frame about it is about. */
export interface Told {
  readonly happening: Happening;
  readonly about: About;
}

interface Traded extends Instrument {
  book: Shown;
  told: Shown;
  readonly depth: Depth;
  /** Books since the last one told; and the first id among them. */
  untold: number;
  firstUntold: number;
  /** What changed since: also what is by now as it was, since a snapshot may lie between. */
  touched: Row[];
  mustReset: boolean;
  traded: bigint;
  session: number;
}

/** Number of every stream's first book. */
const NUMBER_FIRST = 100;

export class Pit implements Floor {
  readonly instruments: readonly Traded[];
  readonly #speech: Speech;
  readonly #options: PitOptions;
  readonly #history: History;
  readonly #market: Market;
  /** In the market's order; null for those that no venue of this kind lists. */
  readonly #byIndex: readonly (Traded | null)[];
  readonly #bySymbol: ReadonlyMap<string, Traded>;
  #event = 0;
  #time: number;

  constructor(speech: Speech, options: PitOptions, history: History) {
    const { seed, symbols, levels, now } = options;
    this.#speech = speech;
    this.#options = options;
    this.#history = history;
    this.#market = new Market({ seed, symbols, faults: 0 });
    this.#time = now?.() ?? START_MICROS;
    const all = listings(symbols);
    const sizes = sizesOf(all);
    const { spelling: spell, hasHoles } = speech;
    this.#byIndex = all.map((listing, i) => {
      if (listing.negative) return null;
      const [, base = listing.symbol, paid] = /^(.+)(USDT)$/.exec(listing.symbol) ?? [];
      const quote = paid === undefined || speech.quote === "USD" ? speech.quote : paid;
      const plain = base.replaceAll("-", "");
      const symbol = speech.symbolOf(plain, quote);
      const chance = Chance.of(seed, 16 + i);
      const depth = new Depth({ listing, sizes: sizes[i]!, chance, levels, hasHoles, spell }, this.#time);
      const ids = Object.fromEntries(speech.depths.map((k) => [k, NUMBER_FIRST]));
      const book: Shown = { ...depth.book, symbol, event: 0, ids };
      history.change(book, rowsOf({ bids: [], asks: [] }, book));
      return {
        ...{
          symbol,
          base: plain,
          quote,
          listing,
          depth,
          book,
          told: book,
          untold: 0,
          firstUntold: 0,
          touched: [],
          mustReset: false,
          traded: 0n,
          session: -1,
        },
        get trades() {
          return history.trades(symbol);
        },
      };
    });
    this.instruments = this.#byIndex.filter((each) => each !== null);
    this.#bySymbol = new Map(this.instruments.map((each) => [each.symbol, each]));
  }

  get time(): number {
    return this.#time;
  }

  /** Number of the last event. */
  get event(): number {
    return this.#event;
  }

  instrument(symbol: string): Instrument | undefined {
    return this.#bySymbol.get(symbol);
  }

  /** Lets streams that number their books begin anew with the next one. */
  reset(symbol: string): void {
    this.#bySymbol.get(symbol)!.mustReset = true;
  }

  /** The next event. */
  step(): Told[] {
    for (;;) {
      const [message] = this.#market.fill(1);
      const instrument = this.#byIndex[message!.symbolIndex];
      if (instrument === null || instrument === undefined) continue;
      this.#event++;
      this.#time = Math.max(this.#time, this.#options.now?.() ?? this.#market.time);
      const tick = JSON.parse(message!.value as string);
      const { depth } = instrument;
      // A trade leaves the best as the market has it: what it took there is there again.
      if (tick.type === "trade") {
        return [this.#trade(instrument, tick), ...this.#changed(instrument, depth.stir(this.#time))];
      }
      return this.#changed(instrument, depth.move(tick, this.#time));
    }
  }

  /** As it was when the oldest books that are still known were the latest. */
  stale(): Floor {
    const old = (each: Instrument): Instrument => ({ ...each, book: this.#history.books(each.symbol)[0]! });
    return {
      time: this.#time,
      instruments: this.instruments.map(old),
      instrument: (symbol) => {
        const found = this.instrument(symbol);
        return found && old(found);
      },
    };
  }

  #trade(
    instrument: Traded,
    tick: { readonly price: string; readonly size: string; readonly side: "buy" | "sell"; readonly sequence: number },
  ): Told {
    const { symbol, book } = instrument;
    const { price, size } = this.#speech.spelling;
    const amounts = { price: price(tick.price), size: size(tick.size), side: tick.side };
    const trade: Trade = { symbol, id: tick.sequence, time: this.#time, ...amounts, event: this.#event };
    this.#history.trade(trade);
    const session = this.#speech.sessionOf?.(this.#time);
    if (session !== undefined) {
      instrument.traded = BigInt(trade.size) + (session === instrument.session ? instrument.traded : 0n);
      instrument.session = session;
    }
    const about = { symbol, stream: "trade", first: trade.id, last: trade.id } as const;
    return { happening: { stream: "trade", trade, book }, about };
  }

  /** What the new book of an instrument becomes, if any row of it is another. */
  #changed(instrument: Traded, rows: readonly Row[]): Told[] {
    if (rows.length === 0) return [];
    const { depth, symbol, book: before } = instrument;
    let book: Shown = { ...depth.book, symbol, event: this.#event, ids: {} };
    instrument.untold++;
    if (instrument.untold === 1) instrument.firstUntold = book.firstId;
    const isTold = instrument.untold >= this.#options.batch;
    if (isTold) book = { ...book, ids: this.#numbers(instrument, book) };
    instrument.book = book;
    instrument.touched.push(...rows);
    this.#history.change(book, rows);
    const about = { symbol, stream: "quote", first: book.id, last: book.id } as const;
    const quote: Told[] = isSame(before, book, 1) ? [] : [{ happening: { stream: "quote", book }, about }];
    return isTold ? [...quote, this.#change(instrument)] : quote;
  }

  /** The numbers that streams of each depth give this book. */
  #numbers({ told, mustReset }: Traded, book: Shown): Shown["ids"] {
    const numberOf = (k: number): number => mustReset ? 1 : told.ids[k]! + (isSame(told, book, k) ? 0 : 1);
    return Object.fromEntries(this.#speech.depths.map((k) => [k, numberOf(k)]));
  }

  #change(instrument: Traded): Told {
    const { symbol, told: before, firstUntold, book: latest, touched } = instrument;
    const made = new Map<number, readonly Row[]>();
    const book = { ...latest, firstId: firstUntold, previousId: before.id };
    const rows = (depth: number): readonly Row[] => {
      const known = made.get(depth);
      if (known !== undefined) return known;
      const rows = depth === Infinity ? latestOf(touched) : rowsOf(cut(before, depth), cut(book, depth));
      made.set(depth, rows);
      return rows;
    };
    instrument.told = latest;
    instrument.untold = 0;
    instrument.touched = [];
    instrument.mustReset = false;
    const about = { symbol, stream: "book", first: firstUntold, last: latest.id } as const;
    return { happening: { stream: "book", before, book, rows }, about };
  }
}

/** Of each price the last row. */
const latestOf = (rows: readonly Row[]): Row[] => [
  ...new Map(rows.map((row) => [`${row.side} ${row.price}`, row])).values(),
];
