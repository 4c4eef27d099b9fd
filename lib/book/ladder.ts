/**
 * The levels of one book, as the wire wrote them. Each side is two arrays, worst level first and best last, because most
 * changes lie near the best and moving what follows them is then cheap.
 *
 * A price is found by its unscaled integer at the book's scale, the most digits after the point that a price of it has
 * had: a number where all fit 2^53, bigints from the first that does not.
 *
 * **In** `[price, size]` pairs, **Out** the same, best first. **Knows** `tick`, `decimal`.
 */
import { compare, isDecimal, sign, unscaled } from "../decimal.ts";
import type { Book } from "../tick.ts";

export type Levels = Book["bids"];
type Level = Levels[number];
type Key = number | bigint;

/** Why levels could not be taken; the book is no longer to be used. */
export type Refusal = "unreadable" | "bounds";

interface Side {
  /** Of asks the negative, so that the best is the greatest on both sides. */
  readonly sign: 1 | -1;
  keys: Key[];
  levels: Level[];
}

/** The range in which every level is known: worst price of a side, null where it is known to its end. */
export interface Known {
  readonly bid: string | null;
  readonly ask: string | null;
}

export class Ladder {
  readonly #levelsMax: number;
  readonly #bids: Side = { sign: 1, keys: [], levels: [] };
  readonly #asks: Side = { sign: -1, keys: [], levels: [] };
  #scale = 0;
  #isWide = false;

  /** `levelsMax`: levels that a side may have. */
  constructor(levelsMax: number) {
    this.#levelsMax = levelsMax;
  }

  /** Deletes of prices that were not there, since the beginning. */
  unknownDeletes = 0;

  get bestBid(): Level | undefined {
    return this.#bids.levels.at(-1);
  }
  get bestAsk(): Level | undefined {
    return this.#asks.levels.at(-1);
  }
  /** The worst level of each side; null where there is none. */
  get worst(): Known {
    return { bid: this.#bids.levels[0]?.[0] ?? null, ask: this.#asks.levels[0]?.[0] ?? null };
  }
  get isCrossed(): boolean {
    const bid = this.#bids.keys.at(-1), ask = this.#asks.keys.at(-1);
    // Unlike a locked book, in which both are the same price.
    return bid !== undefined && ask !== undefined && bid > -ask;
  }

  /** The best levels, best first. */
  bids(count: number): Levels {
    return bestOf(this.#bids, count);
  }
  /** The best levels, best first. */
  asks(count: number): Levels {
    return bestOf(this.#asks, count);
  }

  clear(): void {
    for (const side of [this.#bids, this.#asks]) {
      side.keys = [];
      side.levels = [];
    }
    this.#scale = 0;
    this.#isWide = false;
  }

  /** Holds these levels instead of its own. */
  load(bids: Levels, asks: Levels): Refusal | null {
    this.clear();
    const before = this.unknownDeletes;
    const refusal = this.#loadSide(this.#bids, bids) ?? this.#loadSide(this.#asks, asks);
    this.unknownDeletes = before;
    return refusal;
  }

  #loadSide(side: Side, levels: Levels): Refusal | null {
    // Backwards: a snapshot begins with the best, and what comes last is best appended.
    const refusal = this.#changeAll(side, levels.toReversed());
    if (refusal !== null || side.levels.length === levels.length) return refusal;
    // A price that comes twice is what it was last.
    side.keys = [];
    side.levels = [];
    return this.#changeAll(side, levels);
  }

  /** Sets each level to its size, in the order given; a size of zero deletes. */
  apply(bids: Levels, asks: Levels): Refusal | null {
    return this.#changeAll(this.#bids, bids) ?? this.#changeAll(this.#asks, asks);
  }

  /** Forgets what lies beyond the best `depth` levels of a side. */
  cut(depth: number): void {
    for (const side of [this.#bids, this.#asks]) {
      const excess = side.levels.length - depth;
      if (excess <= 0) continue;
      side.keys.splice(0, excess);
      side.levels.splice(0, excess);
    }
  }

  #changeAll(side: Side, changes: Levels): Refusal | null {
    for (let i = 0; i < changes.length; i++) {
      const change = changes[i]!;
      const size = change[1];
      // Nothing is less than nothing: a minus is no size.
      if (size.charCodeAt(0) === 45 || !isDecimal(size)) return "unreadable";
      const price = this.#keyOf(change[0]);
      if (price === undefined) return "unreadable";
      const { keys, levels } = side;
      const key = side.sign === 1 ? price : -price;
      const at = placeOf(keys, key);
      const isThere = at < keys.length && keys[at] === key;
      if (isZero(size)) {
        if (isThere) {
          keys.splice(at, 1);
          levels.splice(at, 1);
        } else this.unknownDeletes++;
      } else if (isThere) levels[at] = change;
      else if (at === keys.length) {
        keys.push(key);
        levels.push(change);
      } else {
        keys.splice(at, 0, key);
        levels.splice(at, 0, change);
      }
    }
    return side.levels.length > this.#levelsMax ? "bounds" : null;
  }

  #keyOf(price: string): Key | undefined {
    if (!isDecimal(price) || price.length > PRICE_LENGTH_MAX) return undefined;
    if (!this.#isWide) {
      const key = exact(price, this.#scale);
      if (key !== undefined) return key;
      const scale = Math.max(this.#scale, fractionOf(price));
      if (scale > this.#scale) this.#rescale(scale);
      // Too wide for a number, if it was not the scale.
      if (!this.#isWide) {
        const again = exact(price, this.#scale);
        if (again !== undefined) return again;
        this.#widen(0);
      }
      return this.#keyOf(price);
    }
    const scale = fractionOf(price);
    if (scale > this.#scale) this.#rescale(scale);
    return unscaled(price, this.#scale);
  }

  #rescale(scale: number): void {
    const digits = scale - this.#scale;
    this.#scale = scale;
    const factor = 10 ** digits;
    const all = this.#isWide || digits > 15 ? [] : [...this.#bids.keys, ...this.#asks.keys] as number[];
    if (this.#isWide || digits > 15 || !all.every((key) => Number.isSafeInteger(key * factor))) this.#widen(digits);
    else for (const side of [this.#bids, this.#asks]) side.keys = side.keys.map((key) => key as number * factor);
  }

  #widen(digits: number): void {
    this.#isWide = true;
    const factor = 10n ** BigInt(digits);
    for (const side of [this.#bids, this.#asks]) side.keys = side.keys.map((key) => BigInt(key) * factor);
  }
}

/** Characters of a price: more than any store keeps. */
const PRICE_LENGTH_MAX = 128;

function bestOf({ levels }: Side, count: number): Levels {
  const best: Levels = [];
  for (let i = levels.length - 1, end = Math.max(0, levels.length - count); i >= end; i--) best.push(levels[i]!);
  return best;
}

/** Where the key stands or would stand. Looks at the best first. */
function placeOf(keys: readonly Key[], key: Key): number {
  let low = 0, high = keys.length;
  if (high === 0 || keys[high - 1]! < key) return high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isZero(size: string): boolean {
  const first = size.charCodeAt(0);
  return first === 48 && sign(size) === 0;
}

/** Digits after the point without zeros at the end. */
function fractionOf(text: string): number {
  const point = text.indexOf(".");
  if (point < 0) return 0;
  let end = text.length;
  while (text.charCodeAt(end - 1) === 48) end--;
  return Math.max(0, end - point - 1);
}

/** The integer that a decimal is at this scale; undefined where it is none or no safe one. */
function exact(text: string, scale: number): number | undefined {
  const isNegative = text.charCodeAt(0) === 45;
  const end = text.length;
  let value = 0;
  // Digits after the point so far; -1 before it.
  let fraction = -1;
  for (let i = isNegative ? 1 : 0; i < end; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0) fraction = 0;
    else if (fraction < 0) value = value * 10 + digit;
    else if (fraction < scale) {
      value = value * 10 + digit;
      fraction++;
    } else if (digit !== 0) return undefined;
  }
  for (let i = Math.max(fraction, 0); i < scale; i++) value *= 10;
  if (value > Number.MAX_SAFE_INTEGER) return undefined;
  return isNegative ? -value : value;
}

/** How many levels two books have in a range, and how many of them are the same in both. */
export interface Agreement {
  readonly levels: number;
  readonly agreeing: number;
}

/** How far two books agree in the range that both know. */
export function agreementOf(a: Ladder, knownA: Known, b: Ladder, knownB: Known): Agreement {
  const bids = sideAgreement(a.bids(Infinity), b.bids(Infinity), 1, [knownA.bid, knownB.bid]);
  const asks = sideAgreement(a.asks(Infinity), b.asks(Infinity), -1, [knownA.ask, knownB.ask]);
  return { levels: bids.levels + asks.levels, agreeing: bids.agreeing + asks.agreeing };
}

function sideAgreement(a: Levels, b: Levels, side: 1 | -1, bounds: readonly (string | null)[]): Agreement {
  const isWithin = (price: string) => bounds.every((bound) => bound === null || compare(price, bound) * side >= 0);
  let levels = 0, agreeing = 0;
  for (let i = 0, j = 0; i < a.length || j < b.length; levels++) {
    const left = a[i], right = b[j];
    const order = left === undefined ? 1 : right === undefined ? -1 : -compare(left[0], right[0]) * side;
    if (!isWithin((order <= 0 ? left : right)![0])) break;
    if (order === 0 && compare(left![1], right![1]) === 0) agreeing++;
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
  return { levels, agreeing };
}
