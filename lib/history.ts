/**
 * What a pretended venue knows that it did: every trade, the book at each id, each fault that struck. The oldest is
 * forgotten. It is what a client's record is held against.
 *
 * **In** deeds as they happen, **Out** the same, found by symbol and id, or handed on line by line.
 * **Knows** `depth`, `mischief`.
 */
import type { Book, Row } from "./depth.ts";
import type { MischiefName, Stream } from "./mischief.ts";

/** A trade; texts as the venue writes them. */
export interface Trade {
  readonly symbol: string;
  /** Rises by one a symbol. */
  readonly id: number;
  /** µs. */
  readonly time: number;
  readonly price: string;
  readonly size: string;
  /** The aggressor's. */
  readonly side: "buy" | "sell";
  /** Number of the market's event. */
  readonly event: number;
}

/** A book, and its number on streams that number the changes of their own depth. */
export interface Shown extends Book {
  readonly symbol: string;
  readonly event: number;
  /** By depth; a number of 1 says that the book begins anew. */
  readonly ids: Readonly<Record<number, number>>;
}

/** A fault that struck. */
export interface Struck {
  readonly fault: MischiefName;
  readonly event: number;
  readonly time: number;
  /** Null where no connection came of it. */
  readonly connection: number | null;
  /** What the frame was about, or which path was asked for. */
  readonly about: About | { readonly path: string };
  /** Of a `close`. */
  readonly code?: number;
}

/** What a frame said: trade ids, or ids of the book. */
export interface About {
  readonly symbol: string;
  readonly stream: Stream;
  readonly first: number;
  readonly last: number;
}

/** A line of the truth. */
export type Deed =
  | { readonly deed: "trade" } & Trade
  | { readonly deed: "book"; readonly rows: readonly Row[] } & Omit<Shown, "bids" | "asks">
  | { readonly deed: "fault" } & Struck;

export interface HistoryOptions {
  /** Trades of each instrument that are kept. */
  readonly tradesMax: number;
  /** Books that are kept, of all instruments together. */
  readonly booksMax: number;
  readonly noted?: ((deed: Deed) => void) | undefined;
}

/** Faults that are kept. */
const FAULTS_MAX = 10_000;

export class History {
  /** The latest of each symbol, oldest first. */
  readonly #trades = new Map<string, Trade[]>();
  readonly #books = new Map<string, Shown[]>();
  /** Symbols in the order in which their books were noted. */
  readonly #order: string[] = [];
  readonly #faults: Struck[] = [];
  readonly #options: HistoryOptions;

  constructor(options: HistoryOptions) {
    this.#options = options;
  }

  /** How many faults struck. */
  struck = 0;

  /** The faults that struck, oldest first. */
  get faults(): readonly Struck[] {
    return this.#faults;
  }

  /** The trades of a symbol, oldest first. */
  trades(symbol: string): readonly Trade[] {
    return this.#trades.get(symbol) ?? [];
  }

  /** The books of a symbol, oldest first. */
  books(symbol: string): readonly Shown[] {
    return this.#books.get(symbol) ?? [];
  }

  /** The book that had this id; with a depth, that was told with this number on the streams of the depth, lately. */
  book(symbol: string, id: number, depth?: number): Shown | undefined {
    if (depth === undefined) return this.books(symbol).findLast((book) => book.id === id);
    // Those that change beyond the depth keep its number.
    const told = this.books(symbol).filter(({ ids }) => ids[depth] !== undefined);
    let at = told.findLastIndex(({ ids }) => ids[depth] === id);
    while (told[at - 1]?.ids[depth] === id) at--;
    return told[at];
  }

  trade(trade: Trade): void {
    this.#options.noted?.({ deed: "trade", ...trade });
    append(this.#trades, trade.symbol, trade, this.#options.tradesMax);
  }

  change(book: Shown, rows: readonly Row[]): void {
    if (this.#options.noted !== undefined) {
      const { bids: _bids, asks: _asks, ...what } = book;
      this.#options.noted({ deed: "book", ...what, rows });
    }
    append(this.#books, book.symbol, book, Infinity);
    this.#order.push(book.symbol);
    // Of each instrument one is always known.
    while (this.#order.length > this.#options.booksMax) {
      const books = this.#books.get(this.#order.shift()!)!;
      if (books.length > 1) books.shift();
    }
  }

  fault(struck: Struck): void {
    this.#options.noted?.({ deed: "fault", ...struck });
    this.struck++;
    this.#faults.push(struck);
    if (this.#faults.length > FAULTS_MAX) this.#faults.shift();
  }
}

function append<T>(lists: Map<string, T[]>, symbol: string, item: T, max: number): void {
  const list = lists.get(symbol) ?? [];
  list.push(item);
  if (list.length > max) list.shift();
  lists.set(symbol, list);
}
