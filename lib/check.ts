/**
 * What makes the whole sound: suites of expectations, named in the field's terms, asked of a day in the lake or in the hot
 * store. Here stands what they come to; kinds of checks are residents of `check/`, grouped by what they look at.
 *
 * **In** a suite, the files of a date, **Out** a run: a result an expectation and instrument, every failing row in a file.
 * **Knows** `calendar`, `columns`, `decimal`, `hot`, `lake`, `parquet`, `sequence`, `table`, `tick`, `failure`.
 */
import market from "./check/market.json" with { type: "json" };
import { type Severity, type Suite, suiteOf } from "./check/suite.ts";

export type { Shelf } from "./check/evidence.ts";
export { bytesOf, ledgerOf, pathsOf } from "./check/ground.ts";
export { type Came, type Ground, runSuite, trySql } from "./check/run.ts";
export { MODULES } from "./check/hand.ts";
export type { Files, Terms } from "./check/stand.ts";
export {
  type Expectation,
  KINDS,
  SEVERITIES,
  type Severity,
  type Suite,
  suiteJsonSchema,
  suiteOf,
} from "./check/suite.ts";
export { linesOf } from "./check/text.ts";

/** What an expectation of a suite came to on one instrument of one table and date. */
export interface Result {
  /** The expectation's own name, unique in its suite. */
  readonly name: string;
  /** Its kind, as `spread`. */
  readonly check: string;
  readonly severity: Severity;
  readonly status: "pass" | "fail";
  readonly venue: string;
  /** Null where it speaks of the whole table. */
  readonly symbol: string | null;
  readonly table: string;
  /** UTC date of the event times, `YYYY-MM-DD`. */
  readonly date: string;
  /** What was measured, for trends; null where it is no number. */
  readonly value: number | null;
  readonly observed: string;
  readonly wanted: string;
  /** Rows that fail it; all of them are in its evidence. */
  readonly failing: number;
  /** Path of the file with every failing row, relative to the report; null where none fails. */
  readonly evidence: string | null;
}

/** A measure of an instrument over a day, bucket by bucket. */
export interface Plot {
  readonly venue: string;
  readonly symbol: string;
  readonly name: "count" | "spread" | "gap";
  readonly date: string;
  /** Width of a bucket. */
  readonly minutes: number;
  /** Null where there is nothing to measure. */
  readonly values: readonly (number | null)[];
}

/** What one audit by one suite came to. */
export interface Run {
  readonly id: string;
  /** When it ran, ISO 8601. */
  readonly at: string;
  readonly suite: string;
  readonly dates: readonly string[];
  readonly results: readonly Result[];
  readonly plots: readonly Plot[];
}

/** The suite that is run where none is named. */
export const MARKET: Suite = suiteOf(JSON.stringify(market), "market");
