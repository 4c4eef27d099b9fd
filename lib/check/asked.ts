/**
 * Expectations as they are asked: of one subject each, with the sums that are theirs, and when what they found passes.
 *
 * **In** answers, **Out** what they mean to one expectation. **Knows** `kind`, `suite`.
 */
import type { Answer, Value } from "../parquet.ts";
import { type Judged, number, type Probe, type Subject } from "./kind.ts";
import { type Expectation, matches } from "./suite.ts";

/** An expectation, asked of one subject. */
export interface Asked {
  readonly expectation: Expectation;
  readonly subject: Subject;
  readonly probe: Probe;
  /** Before its sums' names in an answer. */
  readonly prefix: string;
}

/** All that some lists name, once. */
export const union = <T>(lists: readonly (readonly T[])[]): readonly T[] => [...new Set(lists.flat())];

/** An answer with the sums of one expectation alone, by their own names. */
export function own({ probe, prefix }: Asked, { inst, venue, symbol, rows, ...sums }: Answer): Answer {
  const names = Object.keys(probe.sums);
  return {
    ...{ inst: inst!, venue: venue!, symbol: symbol!, rows: rows! },
    ...Object.fromEntries(names.map((name) => [name, sums[prefix + name]!])),
  };
}

/** Sums of what follows each other as those of all of it. @throws {Error} when a sum is none that adds up */
export function pooled(sums: readonly string[], one: Answer, other: Answer): Answer {
  const both = sums.map((sql, i): readonly [string, Value] => {
    const pool = POOLS[sql.slice(0, sql.indexOf("("))];
    if (pool === undefined) {
      throw new Error(`Cannot add up sum "${sql}": it is none of ${Object.keys(POOLS).join(", ")}`);
    }
    const [a = null, b = null] = [one[`s${i}`], other[`s${i}`]];
    return [`s${i}`, a === null || b === null ? a ?? b : pool(a, b)];
  });
  return { ...one, ...Object.fromEntries(both) };
}
const POOLS: Readonly<Record<string, (a: Value, b: Value) => Value>> = {
  count: (a, b) => number(a) + number(b),
  min: (a, b) => Math.min(number(a), number(b)),
  max: (a, b) => Math.max(number(a), number(b)),
  list: (a, b) => `${String(a).slice(0, -1)}, ${String(b).slice(1)}`,
};

/** Whether an expectation speaks of an instrument. */
export function isMeant({ venue, symbol }: Expectation, ofVenue: string, ofSymbol: string): boolean {
  return matches(venue, ofVenue) && matches(symbol, ofSymbol);
}

/** Whether what was found is sound, or no more than is tolerated. */
export function isPassed({ tolerance }: Expectation, { isSound, failing, of }: Judged): boolean {
  return isSound || failing > 0 && failing <= Math.max(tolerance?.rows ?? 0, (tolerance?.share ?? 0) * of);
}
