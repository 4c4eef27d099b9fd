/**
 * What several runs of one thing came to: the median counts, the range says how noisy the machine was.
 *
 * **In** measures, **Out** median and range. **Knows** nothing.
 */

export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)]!, low: sorted[0]!, high: sorted.at(-1)! };
}

/** The median and, in brackets, the range. */
export function shownRange({ median, low, high }: Spread, show: (n: number) => string): string {
  return `${show(median)} (${show(low)}–${show(high)})`;
}

export const shownWhole = (n: number): string => Math.round(n).toLocaleString("en");
