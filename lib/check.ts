/**
 * What makes a symbol's day sound: expectations asked of the lake, each an aggregate by DuckDB over the files that the
 * ledger names for that date.
 *
 * **In** files, symbol, **Out** one verdict a check; `warn` is a thing to know (a declared gap), `fail` a finding.
 * **Knows** `lake`, `parquet`, `table`, `venue`.
 */
import type { LakeFile } from "./lake.ts";
import { query, type Value } from "./parquet.ts";
import type { TableName } from "./table.ts";

/** The verdict of one check on one table. */
export interface Verdict {
  readonly check: string;
  readonly table: TableName;
  readonly status: "pass" | "warn" | "fail";
  readonly observed: string;
  readonly wanted: string;
}

/** One expectation: an aggregate over the view `day`, and what its answer means. */
interface Check {
  readonly name: string;
  readonly tables: readonly TableName[];
  readonly sql: string;
  readonly wanted: string;
  judge(answer: Readonly<Record<string, Value>>): readonly [Verdict["status"], string];
}

const none = (n: Value): "pass" | "fail" => n === 0 ? "pass" : "fail";
const ALL = ["trades", "quotes", "books", "deltas", "status"] as const;

/** Every check, in the order of the report. Names become labels and never change. */
const CHECKS: readonly Check[] = [
  {
    name: "rows",
    tables: ALL,
    sql: "count(*)::BIGINT AS n",
    wanted: "at least one",
    judge: ({ n }) => [Number(n) > 0 ? "pass" : "fail", `${n}`],
  },
  {
    name: "null",
    tables: ["trades"],
    sql: "count(*) FILTER (price IS NULL OR size IS NULL OR side IS NULL)::BIGINT AS n",
    wanted: "0 trades without price, size or side",
    judge: ({ n }) => [none(n!), `${n}`],
  },
  {
    name: "one-sided",
    tables: ["quotes"],
    sql: "count(*) FILTER (bid_price IS NULL OR ask_price IS NULL)::BIGINT AS n",
    wanted: "0 quotes with an empty side",
    judge: ({ n }) => [n === 0 ? "pass" : "warn", `${n}`],
  },
  {
    name: "range",
    tables: ["trades"],
    sql: "min(price)::VARCHAR AS low, max(price)::VARCHAR AS high, count(*) FILTER (size <= 0)::BIGINT AS n",
    wanted: "sizes above 0",
    judge: ({ low, high, n }) => [none(n!), `price ${trimmed(low!)} to ${trimmed(high!)}, ${n} sizes not above 0`],
  },
  {
    name: "crossed",
    tables: ["quotes"],
    sql: "count(*) FILTER (bid_price > ask_price)::BIGINT AS n",
    wanted: "0 bids above the ask",
    judge: ({ n }) => [none(n!), `${n}`],
  },
  {
    name: "locked",
    tables: ["quotes"],
    sql: "count(*) FILTER (bid_price = ask_price)::BIGINT AS n",
    wanted: "0 bids at the ask",
    judge: ({ n }) => [n === 0 ? "pass" : "warn", `${n}`],
  },
  {
    name: "duplicate",
    tables: ["trades", "quotes"],
    sql: "(count(sequence) - count(DISTINCT (venue, sequence)) FILTER (sequence IS NOT NULL))::BIGINT AS n",
    wanted: "0 sequences twice",
    judge: ({ n }) => [none(n!), `${n}`],
  },
  {
    name: "gap",
    tables: ["trades"],
    sql: "coalesce(max(sequence) - min(sequence) + 1 - count(DISTINCT sequence), 0)::BIGINT AS n, " +
      "count(*) FILTER (flags LIKE '%gap%')::BIGINT AS declared",
    wanted: "0 trade sequences missing",
    judge: ({ n, declared }) => [n === 0 ? "pass" : "warn", `${n} missing, ${declared} ticks flagged`],
  },
  {
    name: "order",
    tables: ["trades", "quotes"],
    sql: "count(*) FILTER (fallen AND (flags IS NULL OR NOT regexp_matches(flags, 'late|reordered')))::BIGINT AS n, " +
      "count(*) FILTER (fallen)::BIGINT AS all_",
    wanted: "0 event times that fall unflagged",
    judge: ({ n, all_ }) => [none(n!), `${n} of ${all_} that fall`],
  },
  {
    name: "lag",
    tables: ["trades", "quotes"],
    sql: "quantile_cont(epoch_us(received_time) - epoch_us(event_time), 0.5)::BIGINT AS p50, " +
      "max(epoch_us(received_time) - epoch_us(event_time))::BIGINT AS worst",
    wanted: "for information",
    judge: ({ p50, worst }) => ["pass", `p50 ${ms(p50!)} ms, most ${ms(worst!)} ms from event to receipt`],
  },
  {
    name: "freshness",
    tables: ALL,
    sql: "max(event_time)::VARCHAR AS newest",
    wanted: "for information",
    judge: ({ newest }) => ["pass", `newest event ${newest}`],
  },
];

const ms = (micros: Value): string => (Number(micros) / 1000).toFixed(1);
const trimmed = (decimal: Value): string => String(decimal).replace(/\.?0+$/, "");

/** Runs every check on the files of one date. `root` is the lake's folder, `symbol` as the venue writes it. */
export async function checkDay(root: string, files: readonly LakeFile[], symbol: string): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  const literal = `'${symbol.replaceAll("'", "''")}'`;
  for (const table of ALL) {
    const paths = files.filter((file) => file.table === table).map((file) => `${root}/${file.path}`);
    if (paths.length === 0) continue;
    const day = `(SELECT *, event_time < max(event_time) OVER (PARTITION BY venue ORDER BY partition, origin ` +
      `ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS fallen FROM ticks WHERE symbol = ${literal})`;
    const checks = CHECKS.filter((check) => check.tables.includes(table));
    const [count] = await query(paths, `SELECT count(*)::BIGINT AS n FROM ${day}`);
    for (const check of count?.n === 0 ? checks.slice(0, 0) : checks) {
      const [answer] = await query(paths, `SELECT ${check.sql} FROM ${day}`);
      if (answer === undefined) {
        throw new Error(`Cannot check "${check.name}" of ${table}: the engine gave no answer, must give one row`);
      }
      const [status, observed] = check.judge(answer);
      verdicts.push({ check: check.name, table, status, observed, wanted: check.wanted });
    }
  }
  return verdicts;
}
