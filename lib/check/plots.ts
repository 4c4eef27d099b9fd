/**
 * The day of an instrument, drawn: rows, the middle spread and the longest silence of each quarter of an hour.
 *
 * **In** a lens, **Out** plots. **Knows** `kind`, `stand`.
 */
import type { Plot } from "../check.ts";
import type { Views } from "../parquet.ts";
import { type Lens, number } from "./kind.ts";
import type { Part } from "./stand.ts";

const MINUTES = 15;
const BUCKETS = 24 * 60 / MINUTES;

export function plotsOf(views: Views, lens: Lens, { instruments }: Part, date: string, from: number): readonly Plot[] {
  const bucket = `(t - ${from}) // ${MINUTES * 60_000_000}`;
  const days = new Map(instruments.map(({ inst, venue, symbol }) => [inst, {
    ...{ venue, symbol },
    count: Array<number>(BUCKETS).fill(0),
    spread: Array<number | null>(BUCKETS).fill(null),
    gap: Array<number | null>(BUCKETS).fill(null),
  }]));
  for (const subject of ["trades", "quotes"] as const) {
    const isQuotes = subject === "quotes";
    const rows = views.ask(
      `SELECT inst, ${bucket} AS bucket, count(*) AS n, max(t - last_t) / 1000000 AS gap, ${
        isQuotes ? "median(bps)" : "NULL::DOUBLE"
      } AS spread
        FROM (${lens.keyed(subject, isQuotes ? ["t", "last_t", "bps"] : ["t", "last_t"])}) GROUP BY ALL`,
    );
    for (const { inst, bucket, n, gap, spread } of rows) {
      const day = days.get(number(inst));
      const at = number(bucket);
      if (day === undefined || at < 0 || at >= BUCKETS) continue;
      day.count[at]! += number(n);
      // What is quoted is silent when its quotes are. A time that went back is no silence.
      if (gap !== null) day.gap[at] = Math.max(0, number(gap));
      if (spread !== null) day.spread[at] = number(spread);
    }
  }
  return [...days.values()].flatMap(({ venue, symbol, ...values }) =>
    (["count", "spread", "gap"] as const).map((name): Plot => ({
      venue,
      symbol,
      name,
      date,
      minutes: MINUTES,
      values: values[name],
    }))
  );
}
