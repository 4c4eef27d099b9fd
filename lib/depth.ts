/**
 * A seeded order book around the prices of a market: some hundred levels a side that are added, changed and deleted as
 * the quotes go. Its best levels are those of the last quote, always. What it was stays as it was: each change makes a new
 * book, and what changed is the difference of two.
 *
 * **In** quotes of one instrument, **Out** books, and rows that lead from one to another.
 * **Knows** `listing`, `decimal`, `chance`.
 */
import type { Chance } from "./chance.ts";
import { unscaled } from "./decimal.ts";
import { type Listing, priceText, SIZES } from "./listing.ts";

export interface Level {
  /** In price steps. */
  readonly steps: number;
  /** As the venue writes them. */
  readonly price: string;
  readonly size: string;
}

/** A book between two changes, best first. */
export interface Book {
  /** Id of the change that made it, the first that it counts for, and the book before's. */
  readonly id: number;
  readonly firstId: number;
  readonly previousId: number;
  /** µs. */
  readonly time: number;
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
}

/** A level that is other than before; a size of null takes it away. */
export interface Row {
  readonly side: "bid" | "ask";
  readonly price: string;
  readonly size: string | null;
}

/** The best of both sides, texts as the market writes them. */
export interface Top {
  readonly bidPrice: string;
  readonly bidSize: string;
  readonly askPrice: string;
  readonly askSize: string;
}

export interface DepthOptions {
  readonly listing: Listing;
  /** Sizes that the instrument trades in. */
  readonly sizes: readonly string[];
  readonly chance: Chance;
  /** Levels of a side at most. */
  readonly levels: number;
  /** Whether ids leave holes, as where one counter serves many books. */
  readonly hasHoles: boolean;
  readonly spell: Spelling;
}

/** How a venue writes amounts. */
export interface Spelling {
  price(text: string): string;
  size(text: string): string;
}

/** Where ids begin. */
const ID_FIRST = 50_000_000;
/** Price steps between two neighbours far from the best, at most. */
const STRIDE = 4;

export class Depth {
  book: Book;
  readonly #options: DepthOptions;
  /** The best of each side, and its texts as the market wrote them: most quotes leave one of them as it is. */
  readonly #best: Record<Row["side"], { readonly price: string; readonly size: string; readonly level: Level } | null> =
    { bid: null, ask: null };

  /** The book of an instrument at which nothing happened yet. */
  constructor(options: DepthOptions, time: number) {
    this.#options = options;
    const { listing } = options;
    const side = (steps: number, toWorse: 1 | -1): Level[] => this.#filled([this.#level(steps, this.#size())], toWorse);
    this.book = {
      id: ID_FIRST,
      firstId: ID_FIRST,
      previousId: ID_FIRST - 1,
      time,
      bids: side(listing.open, -1),
      asks: side(listing.open + 1, 1),
    };
  }

  /** Takes a quote in, and gives what changed; nothing where the book is what it was, and its id too. */
  move({ bidPrice, bidSize, askPrice, askSize }: Top, time: number): readonly Row[] {
    return this.#become(this.#bestOf("bid", bidPrice, bidSize), this.#bestOf("ask", askPrice, askSize), time);
  }

  /** Changes what lies behind the best, and gives what changed; nothing where the book is what it was. */
  stir(time: number): readonly Row[] {
    return this.#become(this.book.bids[0]!, this.book.asks[0]!, time);
  }

  #bestOf(side: Row["side"], price: string, size: string): Level {
    const last = this.#best[side];
    if (last?.price === price && last.size === size) return last.level;
    const { listing } = this.#options;
    const level = this.#level(Number(unscaled(price, listing.scale)) / listing.step, size);
    this.#best[side] = { price, size, level };
    return level;
  }

  #become(bid: Level, ask: Level, time: number): readonly Row[] {
    const { chance, hasHoles } = this.#options;
    const before = this.book;
    const bids = this.#side(before.bids, bid, -1);
    const asks = this.#side(before.asks, ask, 1);
    const rows = rowsOf(before, { bids, asks });
    if (rows.length === 0) return rows;
    const firstId = before.id + 1 + (hasHoles ? 1 + chance.below(5) : 0);
    this.book = { id: firstId + rows.length - 1, firstId, previousId: before.id, time, bids, asks };
    return rows;
  }

  #side(before: readonly Level[], best: Level, toWorse: 1 | -1): Level[] {
    const { chance } = this.#options;
    let worse = 0;
    while (worse < before.length && (before[worse]!.steps - best.steps) * toWorse <= 0) worse++;
    // The best, and behind it those that are worse.
    const side = worse === 0 ? [best, ...before] : before.slice(worse - 1);
    side[0] = best;
    // Behind the best, one level in three changes is another: of another size, gone, or new where there was none.
    const at = 1 + chance.below(side.length), how = chance.below(9);
    const there = side[at];
    if (there !== undefined && how === 0) side[at] = this.#level(there.steps, this.#size());
    if (there !== undefined && how === 1) side.splice(at, 1);
    if (there !== undefined && how === 2) {
      const steps = there.steps - toWorse;
      const isFree = steps !== side[at - 1]!.steps;
      if (isFree) side.splice(at, 0, this.#level(steps, this.#size()));
    }
    return this.#filled(side, toWorse);
  }

  /** As many levels as there may be, the worst cut off or made. */
  #filled(side: Level[], toWorse: 1 | -1): Level[] {
    const { chance, levels } = this.#options;
    if (side.length > levels) side.length = levels;
    while (side.length < levels) {
      const steps = side.at(-1)!.steps + toWorse * (1 + chance.below(STRIDE));
      if (steps <= 0) break;
      side.push(this.#level(steps, this.#size()));
    }
    return side;
  }

  #level(steps: number, size: string): Level {
    const { listing, spell } = this.#options;
    return { steps, price: spell.price(priceText(listing, steps)), size: spell.size(size) };
  }

  #size(): string {
    return this.#options.sizes[this.#options.chance.below(SIZES)]!;
  }
}

type Sides = Pick<Book, "bids" | "asks">;

/** The best `depth` levels of each side. */
export const cut = ({ bids, asks }: Sides, depth: number): Sides => ({
  bids: bids.slice(0, depth),
  asks: asks.slice(0, depth),
});

/** What leads from one book to another, bids first, best first. */
export function rowsOf(before: Sides, after: Sides): Row[] {
  const rows: Row[] = [];
  addRows(rows, "bid", before.bids, after.bids, -1);
  addRows(rows, "ask", before.asks, after.asks, 1);
  return rows;
}

function addRows(
  rows: Row[],
  side: Row["side"],
  before: readonly Level[],
  after: readonly Level[],
  toWorse: 1 | -1,
): void {
  // Nearly all levels of two books that follow one another are the very same.
  let m = before.length, n = after.length;
  for (; m > 0 && n > 0 && before[m - 1] === after[n - 1]; m--) n--;
  for (let i = 0, j = 0;;) {
    for (; i < m && j < n && before[i] === after[j]; i++) j++;
    if (i >= m && j >= n) return;
    const old = i < m ? before[i] : undefined, fresh = j < n ? after[j] : undefined;
    const order = old === undefined ? 1 : fresh === undefined ? -1 : (old.steps - fresh.steps) * toWorse;
    if (order < 0) rows.push({ side, price: old!.price, size: null });
    else if (order > 0 || old!.size !== fresh!.size) rows.push({ side, price: fresh!.price, size: fresh!.size });
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
}

/** Whether two books have the same best levels, so many of each side. */
export const isSame = (a: Sides, b: Sides, depth: number): boolean =>
  isSameSide(a.bids, b.bids, depth) && isSameSide(a.asks, b.asks, depth);

function isSameSide(a: readonly Level[], b: readonly Level[], depth: number): boolean {
  const length = Math.min(a.length, depth);
  if (length !== Math.min(b.length, depth)) return false;
  for (let i = 0; i < length; i++) {
    if (a[i] !== b[i] && (a[i]!.steps !== b[i]!.steps || a[i]!.size !== b[i]!.size)) return false;
  }
  return true;
}
