/**
 * What the simulated market lists: instruments, how each behaves, and how its amounts are written. Everything is whole
 * numbers, prices of price steps and sizes of lots, until it becomes text; so nothing depends on how a machine rounds.
 *
 * **In** how many instruments, **Out** their listings and the exact text of a price or size.
 * **Knows** `decimal`, `failure`.
 */
import { scaled, scaleOf, unscaled } from "./decimal.ts";
import { Misuse } from "./failure.ts";

/** What a judge has to know of an instrument; amounts are exact decimal text. */
export interface Instrument {
  readonly symbol: string;
  /** Every price is a whole multiple of it. */
  readonly tickSize: string;
  /** Every size is a whole multiple of it. */
  readonly lot: string;
  /** Whether it may trade at zero and below. */
  readonly negative: boolean;
}

/** How an instrument behaves. Prices, moves and spreads are counted in price steps, sizes in lots. */
export interface Listing extends Instrument {
  /** The bid at which the market opens. */
  readonly open: number;
  /** The bid stays between these. */
  readonly low: number;
  readonly high: number;
  /** How far one quote moves the bid at most; a power of two. */
  readonly moveMax: number;
  readonly spreadMax: number;
  readonly sizeMax: number;
  /** The tick size as a whole number at `scale` digits after the point. */
  readonly step: number;
  readonly scale: number;
}

function listing(
  symbol: string,
  [tickSize, lot]: readonly [string, string],
  open: number,
  moveMax: number,
  spreadMax: number,
  sizeMax: number,
): Listing {
  const scale = scaleOf(tickSize);
  const negative = open === 0;
  return {
    ...{ symbol, tickSize, lot, negative, open, moveMax, spreadMax, sizeMax, scale },
    low: negative ? -5_000 : open >> 1,
    high: negative ? 5_000 : open << 1,
    step: Number(unscaled(tickSize, scale)),
  };
}
const equity = (symbol: string, open: number): Listing => listing(symbol, ["0.01", "1"], open, 2, 5, 2_000);

/** The busiest first. */
const NAMED: readonly Listing[] = [
  listing("BTCUSDT", ["0.01", "0.00001"], 9_500_000, 64, 20, 200_000),
  listing("ETHUSDT", ["0.01", "0.0001"], 320_000, 16, 8, 250_000),
  listing("TTF-GAS", ["0.005", "1"], 7_000, 1, 8, 60),
  listing("SHIBUSDT", ["0.00000001", "1"], 1_250, 1, 3, 9_000_000_000_000),
  equity("AAPL", 23_000),
  listing("PWR-DE-SPREAD", ["0.01", "0.1"], 0, 8, 12, 500),
  equity("MSFT", 47_000),
  equity("NVDA", 18_000),
  equity("AMZN", 22_000),
  equity("TSLA", 34_000),
  equity("ASML", 91_000),
  equity("SAP", 24_000),
];

/** Symbols that a market may have. */
export const SYMBOLS_MAX = 10_000;

/** The first `count` listings, the busiest first. @throws {Misuse} when `count` is no integer from 1 to 10,000 */
export function listings(count: number): readonly Listing[] {
  if (!Number.isInteger(count) || count < 1 || count > SYMBOLS_MAX) {
    throw new Misuse(`Cannot list symbols "${count}": is out of range, must be an integer from 1 to ${SYMBOLS_MAX}`);
  }
  const generated = (i: number) => equity(`EQ${String(i).padStart(4, "0")}`, 1_000 + (i * 7_919) % 40_000);
  return Array.from({ length: count }, (_, i) => NAMED[i] ?? generated(i));
}

/** The first `count` instruments as a judge knows them. @throws {Misuse} when `count` is no integer from 1 to 10,000 */
export function instruments(count: number): readonly Instrument[] {
  return listings(count).map(({ symbol, tickSize, lot, negative }) => ({ symbol, tickSize, lot, negative }));
}

/** The text of a price, with all digits of the tick size. */
export function priceText({ step, scale }: Listing, price: number): string {
  const digits = String(Math.abs(price) * step).padStart(scale + 1, "0");
  return `${price < 0 ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** Sizes that an instrument trades in. */
export const SIZES = 1_024;

/** Per listing its {@linkcode SIZES} size texts, small ones the most; listings of one kind share theirs. */
export function sizesOf(all: readonly Listing[]): readonly (readonly string[])[] {
  const shared = new Map<string, readonly string[]>();
  return all.map(({ lot, sizeMax }) => {
    const kind = `${lot}*${sizeMax}`;
    let sizes = shared.get(kind);
    if (sizes === undefined) {
      const scale = scaleOf(lot);
      const unit = unscaled(lot, scale);
      const cube = BigInt(SIZES) ** 3n;
      sizes = Array.from({ length: SIZES }, (_, i) => {
        const lots = 1n + BigInt(sizeMax - 1) * BigInt(i + 1) ** 3n / cube;
        return scaled(lots * unit, scale);
      });
      shared.set(kind, sizes);
    }
    return sizes;
  });
}
