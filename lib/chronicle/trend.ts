/**
 * How an expectation fared from run to run: its verdicts, its values as a line of blocks, and when it failed first.
 *
 * **In** remembered results in the order of their runs, **Out** trends. **Knows** nothing else.
 */
import type { Remembered } from "../chronicle.ts";

export interface Trend {
  readonly name: string;
  readonly venue: string;
  readonly symbol: string | null;
  readonly table: string;
  /** Whether it held, run by run. */
  readonly held: readonly boolean[];
  readonly values: readonly (number | null)[];
  readonly failures: number;
  readonly first: Failure | null;
  /** The first of those failures that went on until the last run. */
  readonly since: Failure | null;
}

export interface Failure {
  readonly run: string;
  readonly date: string;
  readonly observed: string;
}

/** The trend of each expectation on each instrument, in the order in which they were first seen. */
export function trendsOf(results: readonly Remembered[]): readonly Trend[] {
  const groups = Map.groupBy(
    results,
    ({ name, venue, symbol, table }) => JSON.stringify([name, venue, symbol, table]),
  );
  return [...groups.values()].map((group) => {
    const { name, venue, symbol, table } = group[0]!;
    const held = group.map(({ status }) => status === "pass");
    return {
      ...{ name, venue, symbol, table, held },
      values: group.map(({ value }) => value),
      failures: held.filter((each) => !each).length,
      first: failureAt(group, held.indexOf(false)),
      since: failureAt(group, held.at(-1) === false ? held.lastIndexOf(true) + 1 : -1),
    };
  });
}

function failureAt(group: readonly Remembered[], i: number): Failure | null {
  const found = i < 0 ? undefined : group[i];
  return found === undefined ? null : { run: found.run, date: found.date, observed: found.observed };
}

const BLOCKS = "▁▂▃▄▅▆▇█";

/** Values as blocks of rising height, from the least to the greatest; a dot where there is none. */
export function sparkline(values: readonly (number | null)[]): string {
  const known = values.filter((value) => value !== null && Number.isFinite(value)) as number[];
  const least = Math.min(...known), range = Math.max(...known) - least;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return "·";
    return BLOCKS[range === 0 ? 0 : Math.round((value - least) / range * (BLOCKS.length - 1))];
  }).join("");
}

/** Verdicts as marks. */
export const marks = (held: readonly boolean[]): string => held.map((each) => each ? "·" : "×").join("");
