/**
 * Runs a suite, date by date.
 *
 * **In** a suite and the files of its dates, **Out** a run. **Knows** `suite`, `stand`, `beside`, `parquet`, `table`.
 */
import { Views } from "../parquet.ts";
import type { TableName } from "../table.ts";
import type { Plot, Result, Run } from "../check.ts";
import type { Shelf } from "./evidence.ts";
import type { Scope } from "./kind.ts";
import { explain, selectOf } from "./beside.ts";
import { type Files, lay, layKnown, type Terms } from "./stand.ts";
import type { Suite } from "./suite.ts";
import { Day } from "./day.ts";

/** What a suite is run on. */
export interface Ground {
  readonly dates: readonly string[];
  /** As the venue writes it; all where it is null. */
  readonly symbol: string | null;
  /** Files of the store that is asked, by date. */
  files(date: string): Promise<Files>;
  /** Files of the hot store, where the suite compares the two. */
  hot?(date: string): Promise<Files>;
  /** What the ledger says of the lake's files, where it is the lake that is asked. */
  ledger?(date: string): readonly { readonly table: TableName; readonly path: string; readonly rows: number }[];
  readonly terms: readonly Terms[];
  /** By the rules in force. */
  readonly limits: Scope["limits"];
  /** SQL files that the suite names. */
  readonly texts: ReadonlyMap<string, string>;
  /** Where failing rows go; nowhere where it is null. */
  readonly shelf: Shelf | null;
  /** Whether the day is drawn. */
  readonly draws: boolean;
  readonly signal: AbortSignal;
  /** Rows of the instruments that are looked at together. */
  readonly partRows?: number;
  /** How many look at once, each with an engine of its own; one where it is absent. */
  readonly threads?: number;
}

/**
 * Tries the SQL of a suite, by the names of its files, on views that have no row: before all that takes long.
 * @throws {Misuse} when some of it is no SELECT over the tables
 */
export async function trySql(texts: Ground["texts"]): Promise<void> {
  if (texts.size === 0) return;
  using views = await Views.open();
  for (const prefix of ["", "hot_"] as const) await lay(views, {}, prefix);
  layKnown(views, [], [], new Map());
  for (const [file, sql] of texts) explain(views, selectOf(sql), file);
}

/** What a suite came to. */
export interface Came extends Pick<Run, "suite" | "dates" | "results" | "plots"> {
  /** How many it was asked of, those of each date by themselves. */
  readonly instruments: number;
  /** Expectations with a venue or symbol of their own that met no instrument on any date, by name. */
  readonly unmet: readonly string[];
  /** Whether nothing was said at all, though some session was open of which something could be. */
  readonly isMute: boolean;
}

/** Runs a suite. @throws {Error} when a query of the suite fails */
export async function runSuite(suite: Suite, ground: Ground): Promise<Came> {
  const results: Result[] = [], plots: Plot[] = [];
  let instruments = 0, unmet = suite.expectations, isClosed = true;
  for (const date of ground.dates) {
    using views = await Views.open();
    const day = await Day.open(suite, ground, views, date);
    results.push(...await day.run());
    plots.push(...day.plots);
    instruments += day.instruments;
    unmet = unmet.filter((expectation) => day.isUnmet(expectation));
    isClosed &&= suite.expectations.every((expectation) => !day.isOpen(expectation));
  }
  const order = new Map(suite.expectations.map(({ name }, i) => [name, i]));
  return {
    suite: suite.suite,
    instruments,
    dates: ground.dates,
    results: results.sort((a, b) => order.get(a.name)! - order.get(b.name)!),
    plots,
    unmet: unmet.map(({ name }) => name),
    isMute: results.length === 0 && !isClosed,
  };
}
