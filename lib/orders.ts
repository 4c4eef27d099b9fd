/**
 * A book kept by orders, held against the one that was recorded beside them: each message, applied to the levels before it,
 * must give the next row of its companion exactly. Only where a level of a full side is emptied can no message say what
 * comes into view; that one level is taken from the row, must lie further out than all that were there, and is counted.
 *
 * **In** rows of LOBSTER's two files, **Out** the book after each message, and what is wrong with a row.
 * **Knows** nothing.
 */

/**
 * What is wrong: a row is no row (`unreadable`), no level stands where an order should (`absent`), it holds less than is
 * taken from it (`short`), or the row is not what the message makes of the one before (`differs`).
 */
export type FaultName = "unreadable" | "absent" | "short" | "differs";

/** A row at which the two files do not agree. */
export interface Fault {
  /** Of both files, from 1. */
  readonly row: number;
  readonly fault: FaultName;
  readonly detail: string;
}

/** One side of a book, best first: prices in ten-thousandths of a dollar, sizes in shares. */
export interface Depth {
  readonly prices: readonly number[];
  readonly sizes: readonly number[];
}

// Time, type, order, size, price, direction. Fifteen digits are exact in a number.
const MESSAGE = /^\d{1,5}(?:\.\d{1,9})?,([1-7]),-?\d{1,19},(-?\d{1,15}),(-?\d{1,15}),(-?\d{1,2})$/;
const DIGITS_MAX = 15;
/** Types up to 4 are about a visible order; hidden executions, crosses and halts change no level. */
const NEW_ORDER = 1, ORDER_TYPE_MAX = 4;

/** The book of one day. Memory is bounded by its levels. */
export class OrderBook {
  readonly #asks = new Side("ask", 0, 1, 9_999_999_999);
  readonly #bids = new Side("bid", 2, -1, -9_999_999_999);
  readonly #row: number[] = [];
  /** Of one side; 0 while there is no row to go on from. */
  #levels = 0;
  #rows = 0;
  #revealed = 0;

  get asks(): Depth {
    return this.#asks;
  }
  get bids(): Depth {
    return this.#bids;
  }
  /** Rows taken so far. */
  get rows(): number {
    return this.#rows;
  }
  /** Levels that came into view and were taken from a row. */
  get revealed(): number {
    return this.#revealed;
  }

  /**
   * Takes the next row of both files. The first one begins the book, and so does each in which a fault was found: what
   * comes after is judged by itself. A row that is missing in both files is not seen where the
   * next one shows nothing that it changed: a hidden execution, or a level that a better order has pushed out of sight.
   */
  step(message: string, row: string): Fault | null {
    this.#rows++;
    const fault = this.#step(message, row);
    if (fault === null) return null;
    this.#begin();
    return { row: this.#rows, ...fault };
  }

  #step(text: string, row: string): Wrong | null {
    const levels = integersOf(row, this.#row) / 4;
    if (levels < 1 || !Number.isInteger(levels)) {
      this.#row.length = 0;
      return { fault: "unreadable", detail: "the book is no row of whole levels" };
    }
    const message = messageOf(text);
    if (message === undefined) return { fault: "unreadable", detail: "the message is no row of six sound columns" };
    if (this.#levels === 0) {
      return this.#begin()
        ? null
        : { fault: "unreadable", detail: "the book's levels do not lie one beyond the other" };
    }
    if (levels !== this.#levels) {
      return { fault: "unreadable", detail: `the book has ${levels} levels, must have ${this.#levels}` };
    }
    const side = message.direction === 1 ? this.#bids : this.#asks;
    const other = side === this.#bids ? this.#asks : this.#bids;
    const { wrong, beyond } = message.type <= ORDER_TYPE_MAX ? side.apply(message, levels) : UNTOUCHED;
    if (wrong !== null) return wrong;
    const known = side.prices.length;
    const difference = other.difference(this.#row, levels, null) ?? side.difference(this.#row, levels, beyond);
    if (difference !== null) return { fault: "differs", detail: difference };
    this.#revealed += side.prices.length - known;
    return null;
  }

  /** Begins with the row in hand; false where its levels are none, and then there is no book. */
  #begin(): boolean {
    const levels = this.#row.length / 4;
    const asks = this.#asks.begin(this.#row, levels), bids = this.#bids.begin(this.#row, levels);
    this.#levels = asks && bids ? levels : 0;
    if (this.#levels > 0) return true;
    this.#asks.begin([], 0);
    this.#bids.begin([], 0);
    return false;
  }
}

type Wrong = Omit<Fault, "row">;

/** What a message did to its side: `beyond` is the price beyond which a level comes into view, null where none can. */
interface Applied {
  readonly wrong: Wrong | null;
  readonly beyond: number | null;
}
const UNTOUCHED: Applied = { wrong: null, beyond: null };

interface Message {
  readonly type: number;
  readonly size: number;
  readonly price: number;
  readonly direction: number;
}

function messageOf(text: string): Message | undefined {
  const parts = MESSAGE.exec(text);
  if (parts === null) return undefined;
  const [type, size, price, direction] = [Number(parts[1]), Number(parts[2]), Number(parts[3]), Number(parts[4])];
  if (type <= ORDER_TYPE_MAX && (size <= 0 || direction !== 1 && direction !== -1)) return undefined;
  return { type, size, price, direction };
}

/** One side, its levels as they lie in a row: price and size every four columns. */
class Side implements Depth {
  readonly prices: number[] = [];
  readonly sizes: number[] = [];
  readonly name: string;
  readonly #column: number;
  /** Which way prices go from the best on. */
  readonly #outward: 1 | -1;
  /** The price of a level that is not there. */
  readonly #none: number;

  constructor(name: string, column: number, outward: 1 | -1, none: number) {
    this.name = name;
    this.#column = column;
    this.#outward = outward;
    this.#none = none;
  }

  /** Where the level at this price stands, or would. */
  #at(price: number): number {
    let at = 0;
    while (at < this.prices.length && (price - this.prices[at]!) * this.#outward > 0) at++;
    return at;
  }

  apply({ type, size, price }: Message, levels: number): Applied {
    const at = this.#at(price);
    const isThere = this.prices[at] === price;
    if (type === NEW_ORDER) {
      this.#add(at, isThere, price, size, levels);
      return UNTOUCHED;
    }
    const held = isThere ? this.sizes[at]! : 0;
    if (held >= size) return { wrong: null, beyond: this.#take(at, size, levels) };
    const detail = `the ${this.name} at ${price} holds ${held}, must hold ${size}`;
    return { wrong: { fault: isThere ? "short" : "absent", detail }, beyond: null };
  }

  /** A level that finds no room pushes the outermost out of sight, or is out of sight itself. */
  #add(at: number, isThere: boolean, price: number, size: number, levels: number): void {
    if (isThere) {
      this.sizes[at]! += size;
      return;
    }
    this.prices.splice(at, 0, price);
    this.sizes.splice(at, 0, size);
    if (this.prices.length <= levels) return;
    this.prices.pop();
    this.sizes.pop();
  }

  #take(at: number, size: number, levels: number): number | null {
    this.sizes[at]! -= size;
    if (this.sizes[at]! > 0) return null;
    const isFull = this.prices.length === levels;
    const outermost = this.prices.at(-1)!;
    this.prices.splice(at, 1);
    this.sizes.splice(at, 1);
    return isFull ? outermost : null;
  }

  /** The first level that is not as the row has it; what comes into view beyond `beyond` is taken from the row. */
  difference(row: readonly number[], levels: number, beyond: number | null): string | null {
    const known = this.prices.length;
    for (let level = 0; level < levels; level++) {
      const price = row[4 * level + this.#column]!, size = row[4 * level + this.#column + 1]!;
      if (level < known ? price === this.prices[level] && size === this.sizes[level] : this.#isNone(price, size)) {
        continue;
      }
      const isRevealed = level === known && beyond !== null && size > 0 && price !== this.#none &&
        (price - beyond) * this.#outward > 0;
      if (!isRevealed) {
        const wanted = level < known
          ? `${this.sizes[level]} at ${this.prices[level]}`
          : level === known && beyond !== null
          ? `beyond ${beyond} or absent`
          : "absent";
        return `${this.name} ${level + 1} is ${size} at ${price}, must be ${wanted}`;
      }
      this.prices.push(price);
      this.sizes.push(size);
    }
    return null;
  }

  /** Takes all of a row; false where its levels do not lie one beyond the other, those that are not there last. */
  begin(row: readonly number[], levels: number): boolean {
    this.prices.length = this.sizes.length = 0;
    for (let level = 0; level < levels; level++) {
      const price = row[4 * level + this.#column]!, size = row[4 * level + this.#column + 1]!;
      if (this.#isNone(price, size)) continue;
      const isBeyond = level === 0 || (price - this.prices[level - 1]!) * this.#outward > 0;
      if (size <= 0 || price === this.#none || !isBeyond) return false;
      this.prices.push(price);
      this.sizes.push(size);
    }
    return true;
  }

  #isNone(price: number, size: number): boolean {
    return price === this.#none && size === 0;
  }
}

/** Reads integers between commas into `into`, and says how many; 0 where something else stands there. */
function integersOf(text: string, into: number[]): number {
  into.length = 0;
  let value = 0, digits = 0, isNegative = false;
  for (let i = 0; i <= text.length; i++) {
    const code = i === text.length ? 44 : text.charCodeAt(i);
    if (code >= 48 && code <= 57) {
      value = value * 10 + code - 48;
      if (++digits > DIGITS_MAX) return 0;
    } else if (code === 45 && digits === 0 && !isNegative) {
      isNegative = true;
    } else if (code === 44 && digits > 0) {
      into.push(isNegative ? -value : value);
      value = digits = 0;
      isNegative = false;
    } else return 0;
  }
  return into.length;
}
