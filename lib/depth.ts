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

  /** Takes a quote in; false where the book is what it was, and its id too. */
  move(top: Top, time: number): boolean {
    const { listing } = this.#options;
    const best = (price: string, size: string): Level =>
      this.#level(Number(unscaled(price, listing.scale)) / listing.step, size);
    return this.#become(best(top.bidPrice, top.bidSize), best(top.askPrice, top.askSize), time);
  }

  /** Changes what lies behind the best; false where the book is what it was. */
  stir(time: number): boolean {
    return this.#become(this.book.bids[0]!, this.book.asks[0]!, time);
  }

  #become(bid: Level, ask: Level, time: number): boolean {
    const { chance, hasHoles } = this.#options;
    const before = this.book;
    const bids = this.#side(before.bids, bid, -1);
    const asks = this.#side(before.asks, ask, 1);
    const changed = rowsOf(before, { bids, asks }).length;
    if (changed === 0) return false;
    const firstId = before.id + 1 + (hasHoles ? 1 + chance.below(5) : 0);
    this.book = { id: firstId + changed - 1, firstId, previousId: before.id, time, bids, asks };
    return true;
  }

  #side(before: readonly Level[], best: Level, toWorse: 1 | -1): Level[] {
    const { chance } = this.#options;
    const kept = before.filter(({ steps }) => (steps - best.steps) * toWorse > 0);
    // Behind the best, one level in three changes is another: of another size, gone, or new where there was none.
    const at = chance.below(kept.length + 1), how = chance.below(9);
    const there = kept[at];
    if (there !== undefined && how === 0) kept[at] = this.#level(there.steps, this.#size());
    if (there !== undefined && how === 1) kept.splice(at, 1);
    if (there !== undefined && how === 2) {
      const steps = there.steps - toWorse;
      const isFree = steps !== (kept[at - 1]?.steps ?? best.steps);
      if (isFree) kept.splice(at, 0, this.#level(steps, this.#size()));
    }
    return this.#filled([best, ...kept], toWorse);
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
  return [...sideRows("bid", before.bids, after.bids, -1), ...sideRows("ask", before.asks, after.asks, 1)];
}

function* sideRows(
  side: Row["side"],
  before: readonly Level[],
  after: readonly Level[],
  toWorse: 1 | -1,
): Generator<Row> {
  for (let i = 0, j = 0; i < before.length || j < after.length;) {
    const old = before[i], fresh = after[j];
    const order = old === undefined ? 1 : fresh === undefined ? -1 : (old.steps - fresh.steps) * toWorse;
    if (order < 0) yield { side, price: old!.price, size: null };
    else if (order > 0 || old!.size !== fresh!.size) yield { side, price: fresh!.price, size: fresh!.size };
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
}

/** Whether two books have the same best levels. */
export const hasSameTop = (a: Sides, b: Sides): boolean => rowsOf(cut(a, 1), cut(b, 1)).length === 0;
