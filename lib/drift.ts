/**
 * Whether an instrument is what it was: each value of its latest audit by a robust z-score, the shape of its day by the
 * population stability index, against the audits before it that did not fail.
 *
 * **In** remembered runs, **Out** drifts, and which runs they were held against. **Knows** `check`, `chronicle`.
 */
import type { Plot } from "./check.ts";
import type { Entry, Remembered } from "./chronicle.ts";

/** Runs that today's is held against, and those that were left out. */
export interface Baseline {
  readonly runs: readonly Entry[];
  /** Since they found errors in this instrument or in a whole table. */
  readonly failed: readonly Entry[];
}

export interface Drift {
  /** The expectation's name, or what was drawn of the day. */
  readonly name: string;
  readonly venue: string;
  readonly symbol: string | null;
  readonly table: string | null;
  readonly date: string;
  readonly measure: "z" | "psi";
  /** What was measured on the date; null of a day's shape. */
  readonly value: number | null;
  /** Median and range of the days of the baseline, for a shape of their own indices; null where there are too few. */
  readonly usual:
    | { readonly median: number; readonly low: number; readonly high: number; readonly days: number }
    | null;
  /** The z-score or index; null where it cannot be told: too few days, or a value that never varied before and does now. */
  readonly distance: number | null;
  readonly verdict: "drifted" | "stable" | "unknown";
}

/** Days without which nothing is said. */
export const DAYS_MIN = 5;
/** From where on a z-score or an index is no chance. */
const Z_MAX = 3.5, PSI_MAX = 0.25;
/** Fifths: a day has too few buckets for more. */
const BINS = 5;
/** A deviation is reckoned to be this share of the median at least. */
const DEVIATION_MIN = 1e-6;

/** The runs before one, by the same suite and of other dates, not older than `againstMs`. Of one date the last run counts. */
export function baselineOf(
  entries: readonly Entry[],
  results: readonly Remembered[],
  current: Entry,
  againstMs: number,
): Baseline {
  const errors = new Set(
    results.filter(({ status, severity }) => status === "fail" && severity === "error").map(({ run }) => run),
  );
  const asked = new Set(results.map(({ run }) => run));
  const until = Date.parse(current.at), from = until - againstMs;
  const before = entries.filter(({ at, suite, dates, id }) =>
    asked.has(id) && suite === current.suite && Date.parse(at) < until && Date.parse(at) >= from &&
    !dates.some((date) => current.dates.includes(date))
  );
  const sound = before.filter(({ id }) => !errors.has(id));
  const lastOf = new Map(sound.flatMap((entry) => entry.dates.map((date) => [date, entry.id] as const)));
  const kept = new Set(lastOf.values());
  return { runs: sound.filter(({ id }) => kept.has(id)), failed: before.filter(({ id }) => errors.has(id)) };
}

/** Every value and shape of a run against those of its baseline, what drifted first and farthest. */
export function driftsOf(
  current: Entry,
  { runs }: Baseline,
  results: readonly Remembered[],
  plots: readonly (Plot & { readonly run: string })[],
): readonly Drift[] {
  const names = new Set(runs.map(({ id }) => id));
  const isBefore = ({ run }: { readonly run: string }): boolean => names.has(run);
  const isNow = ({ run }: { readonly run: string }): boolean => run === current.id;
  const keyOf = ({ name, venue, symbol, table }: Pick<Remembered, "name" | "venue" | "symbol" | "table">): string =>
    JSON.stringify([name, venue, symbol, table]);
  const values = Map.groupBy(results.filter(isBefore), keyOf);
  const shapes = Map.groupBy(plots.filter(isBefore), (plot) => keyOf({ ...plot, table: "" }));
  const drifts = [
    ...results.filter((result) => isNow(result) && result.value !== null).map((result) =>
      ofValue(result, byDate(values.get(keyOf(result)) ?? []).flatMap(({ value }) => value === null ? [] : [value]))
    ),
    ...plots.filter(isNow).map((plot) =>
      ofShape(plot, byDate(shapes.get(keyOf({ ...plot, table: "" })) ?? []).map(({ values }) => known(values)))
    ),
  ];
  const rank = ({ verdict }: Drift): number => ["drifted", "stable", "unknown"].indexOf(verdict);
  const size = ({ distance }: Drift): number => distance === null ? Infinity : Math.abs(distance);
  return drifts.sort((a, b) => rank(a) - rank(b) || (size(a) === size(b) ? 0 : size(b) - size(a)));
}

/** One of each date, the last. */
const byDate = <T extends { readonly date: string }>(list: readonly T[]): readonly T[] => [
  ...new Map(list.map((each) => [each.date, each])).values(),
];
const known = (values: readonly (number | null)[]): readonly number[] => values.filter((value) => value !== null);

function ofValue({ name, venue, symbol, table, date, value }: Remembered, days: readonly number[]): Drift {
  const common = { name, venue, symbol, table, date, value, measure: "z" as const };
  if (days.length < DAYS_MIN) return { ...common, usual: null, distance: null, verdict: "unknown" };
  const usual = rangeOf(days);
  const z = robustZ(value!, days);
  return { ...common, usual, distance: z, verdict: z === null || Math.abs(z) > Z_MAX ? "drifted" : "stable" };
}

/**
 * How far a value lies from the median of others, in deviations that few wild ones do not widen; null where they are all
 * alike and it is another.
 */
export function robustZ(value: number, others: readonly number[]): number | null {
  const median = medianOf(others);
  if (value === median) return 0;
  const apart = others.map((other) => Math.abs(other - median));
  const mean = apart.reduce((sum, each) => sum + each, 0) / apart.length;
  // More than half of them alike leaves no median deviation, though there is a mean one.
  const deviation = medianOf(apart) > 0 ? 1.4826 * medianOf(apart) : 1.2533 * mean;
  const least = Math.abs(median) * DEVIATION_MIN;
  return deviation === 0 ? null : (value - median) / Math.max(deviation, least);
}

function ofShape(plot: Plot, days: readonly (readonly number[])[]): Drift {
  const { name, venue, symbol, date } = plot;
  const common = { name: `${name} of the day`, venue, symbol, table: null, date, value: null, measure: "psi" as const };
  const measured = days.filter((values) => values.length > 0);
  const now = known(plot.values);
  if (measured.length < DAYS_MIN || now.length === 0) {
    return { ...common, usual: null, distance: null, verdict: "unknown" };
  }
  const distance = psi(now, measured.flat());
  // A day is not a sample of chance: how far those of the baseline are from each other says what is usual.
  const usual = rangeOf(measured.map((values, i) => psi(values, measured.toSpliced(i, 1).flat())));
  return { ...common, usual, distance, verdict: distance > Math.max(PSI_MAX, usual.high) ? "drifted" : "stable" };
}

/** The population stability index of values from others, over fifths of the others; half a value is added to each bin. */
export function psi(values: readonly number[], others: readonly number[]): number {
  const sorted = others.toSorted((a, b) => a - b);
  const edges = Array.from({ length: BINS - 1 }, (_, i) => sorted[Math.floor((i + 1) / BINS * sorted.length)]!);
  const sharesOf = (list: readonly number[]): readonly number[] => {
    const counts: number[] = new Array(BINS).fill(0.5);
    for (const value of list) counts[edges.filter((edge) => value >= edge).length]!++;
    return counts.map((count) => count / (list.length + BINS / 2));
  };
  const was = sharesOf(others);
  return sharesOf(values).reduce((sum, is, i) => sum + (is - was[i]!) * Math.log(is / was[i]!), 0);
}

function rangeOf(values: readonly number[]): NonNullable<Drift["usual"]> {
  return { median: medianOf(values), low: Math.min(...values), high: Math.max(...values), days: values.length };
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
