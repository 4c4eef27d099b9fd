/**
 * Checks of how much there is and how it is spread, against what was seen on other days.
 *
 * **Knows** `kind`.
 */
import { z } from "@zod/zod";
import type { Answer } from "../parquet.ts";
import type { Derived } from "./relation.ts";
import {
  countOf,
  defineKind,
  type Kind,
  literal,
  measured,
  number,
  percent,
  plural,
  selected,
  share,
  type Subject,
} from "./kind.ts";

const MARKET = ["trades", "quotes"] as const satisfies readonly Subject[];
/** What may be spread, as SQL, by what it needs. */
const MEASURES: Readonly<
  Record<string, { readonly sql: string; readonly needs: readonly Derived[]; readonly of: readonly Subject[] }>
> = {
  size: { sql: "CAST(size AS DOUBLE)", needs: [], of: ["trades"] },
  price: { sql: "CAST(price AS DOUBLE)", needs: [], of: ["trades"] },
  spread: { sql: "bps", needs: ["bps"], of: ["quotes"] },
  lag: { sql: "lag / 1000.0", needs: ["lag"], of: MARKET },
  hour: { sql: "t // 3600000000 % 24", needs: ["t"], of: MARKET },
};
const SHARE_LEAST = 1e-4;

/** The population stability index of observed shares from expected ones. */
export function psiOf(counts: readonly number[], expected: readonly number[]): number {
  const all = counts.reduce((sum, n) => sum + n, 0);
  return counts.reduce((psi, n, i) => {
    const is = Math.max(n / all, SHARE_LEAST), was = Math.max(expected[i]!, SHARE_LEAST);
    return psi + (is - was) * Math.log(is / was);
  }, 0);
}

/** How far a count lies from those of a baseline, in robust deviations; what is counted varies by its root at least. */
export function robustZ(count: number, baseline: readonly number[]): number {
  const median = medianOf(baseline);
  const deviation = medianOf(baseline.map((n) => Math.abs(n - median))) * 1.4826;
  return (count - median) / Math.max(deviation, Math.sqrt(Math.max(median, 1)));
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export const KINDS: readonly Kind[] = [
  defineKind({
    check: "psi",
    does: "a measure is spread over its bins as it was on other days, by the population stability index",
    subjects: MARKET,
    stores: "both",
    parameters: {
      measure: z.enum(["size", "price", "spread", "lag", "hour"]),
      /** Between bins, rising; one share more than edges. */
      edges: z.array(z.number()).min(1).max(50),
      shares: z.array(share).min(2).max(51),
      psiMax: z.number().min(0).default(0.25),
      rowsMin: z.int().min(1).default(100),
    },
    probe({ measure, edges, shares, psiMax, rowsMin }, { subject }) {
      const { sql, needs, of } = MEASURES[measure]!;
      if (!of.includes(subject) || shares.length !== edges.length + 1) return null;
      const bin = `CASE ${
        edges.map((edge, i) => `WHEN ${sql} < ${edge} THEN ${i}`).join(" ")
      } WHEN ${sql} IS NOT NULL THEN ${edges.length} END`;
      return measured({
        wanted: `a stability index of at most ${psiMax}`,
        needs,
        isAdding: true,
        sums: Object.fromEntries(shares.map((_, i) => [`bin${i}`, countOf(`(${bin}) = ${i}`)])),
        failing: {
          select: (lens) =>
            `SELECT venue, symbol, bin, count(*) AS rows, list_extract([${
              shares.join(", ")
            }], CAST(bin AS INTEGER) + 1) AS expected
              FROM (SELECT *, ${bin} AS bin FROM (${lens.rows(subject, needs)})) WHERE bin IS NOT NULL GROUP BY ALL`,
        },
        judge(answer) {
          const counts = shares.map((_, i) => number(answer[`bin${i}`]));
          const n = counts.reduce((sum, count) => sum + count, 0);
          if (n < rowsMin) return null;
          const value = psiOf(counts, shares);
          const isSound = value <= psiMax;
          return {
            isSound,
            value,
            observed: Number(value.toPrecision(3)).toString(),
            failing: isSound ? 0 : counts.filter((count) => count > 0).length,
            of: n,
          };
        },
      });
    },
  }),
  defineKind({
    check: "unusual",
    does: "an instrument's rows are about as many as on other days, by the robust z-score of their count",
    subjects: ["trades", "quotes", "books", "deltas"],
    stores: "both",
    parameters: {
      /** Counts of other days by symbol. */
      counts: z.record(z.string(), z.array(z.int().min(0)).min(3).max(366)),
      zMax: z.number().min(0).default(3.5),
    },
    probe: ({ counts, zMax }, { subject, date }) =>
      measured({
        wanted: `a z-score of at most ${zMax}`,
        sums: { n: "count(*)" },
        failing: {
          select: (lens) =>
            `SELECT venue, symbol, ${literal(date)} AS date, count(*) AS rows FROM (${
              lens.rows(subject)
            }) GROUP BY ALL`,
        },
        judge({ symbol, n }) {
          if (!Object.hasOwn(counts, String(symbol))) return null;
          const value = robustZ(number(n), counts[String(symbol)]!);
          const isSound = Math.abs(value) <= zMax;
          return {
            isSound,
            value,
            observed: `z ${Number(value.toPrecision(3))} at ${plural(number(n), "row")}`,
            failing: isSound ? 0 : 1,
            of: number(n),
          };
        },
      }),
  }),
  defineKind({
    check: "sparse",
    does: "of the minutes between first and last event a share has rows",
    subjects: MARKET,
    stores: "both",
    parameters: { shareMin: share },
    probe({ shareMin }, { subject }) {
      const shareIn = ({ busy, low, high }: Answer): number => number(busy) / (number(high) - number(low) + 1);
      return selected({
        wanted: `rows in ${shareMin * 100} % of the minutes`,
        needs: ["t"],
        sums: { busy: "count(DISTINCT t // 60000000)", low: "min(t // 60000000)", high: "max(t // 60000000)" },
        suspects: (answer) => shareIn(answer) < shareMin,
        select: (lens) =>
          `SELECT venue, symbol, make_timestamp(last * 60000000) AS after, make_timestamp(minute * 60000000) AS until FROM (
            SELECT *, lag(minute) OVER (PARTITION BY venue, symbol ORDER BY minute) AS last
            FROM (SELECT DISTINCT venue, symbol, t // 60000000 AS minute FROM (${
            lens.rows(subject, ["t"])
          }))) WHERE minute - last > 1`,
        value: shareIn,
        observed: (answer) => `rows in ${percent(shareIn(answer))} of the minutes`,
      });
    },
  }),
];
