/**
 * What makes a symbol's day sound: expectations asked of the lake, each an aggregate by DuckDB over the files that the
 * ledger names for that date. Two venues may write the same symbol, and are two instruments.
 *
 * **In** files, symbol, **Out** one verdict a venue, table and check; `warn` is a thing to know (a declared gap), `fail` a
 * finding. **Knows** `lake`, `parquet`, `table`, `sequence`.
 */
import type { LakeFile } from "./lake.ts";
import { query, type Value } from "./parquet.ts";
import { type Discipline, DISCIPLINES } from "./sequence.ts";
import { TABLE_OF, type TableName } from "./table.ts";
import { TYPES } from "./tick.ts";

/** How bad a failed expectation is: an error ends the audit with 3, a warning where `--strict` asks for it. */
export const SEVERITIES = ["error", "warning", "information"] as const;
export type Severity = typeof SEVERITIES[number];

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

/** The verdict of one check on one table of a venue. */
export interface Verdict {
  readonly check: string;
  readonly venue: string;
  readonly table: TableName;
  readonly status: "pass" | "warn" | "fail";
  readonly observed: string;
  readonly wanted: string;
}

/** One expectation: an aggregate over the view `day`, and what its answer means. */
interface Check {
  readonly name: string;
  readonly tables: readonly TableName[];
  /** What the venue must promise of its numbers for the check to mean something; anything where it is absent. */
  readonly promised?: readonly Discipline[];
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
    tables: ALL,
    promised: ["contiguous", "rising"],
    sql: "(count(sequence) - count(DISTINCT sequence))::BIGINT AS n",
    wanted: "0 sequences twice",
    judge: ({ n }) => [none(n!), `${n}`],
  },
  {
    name: "gap",
    tables: ALL,
    promised: ["contiguous"],
    sql: "coalesce(max(sequence) - min(sequence) + 1 - count(DISTINCT sequence), 0)::BIGINT AS n, " +
      "count(*) FILTER (flags LIKE '%gap%')::BIGINT AS declared",
    wanted: "0 sequences missing",
    judge: ({ n, declared }) => [n === 0 ? "pass" : "warn", `${n} missing, ${declared} ticks flagged`],
  },
  {
    name: "order",
    tables: ["trades", "quotes"],
    sql: "count(*) FILTER (late AND (flags IS NULL OR NOT regexp_matches(flags, 'late')))::BIGINT AS n, " +
      "count(*) FILTER (fallen)::BIGINT AS all_",
    wanted: "0 live event times that fall by more than lateMsMax unflagged",
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

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/**
 * Runs every check on the files of one date. `root` is the lake's folder, `symbol` as the venue writes it, `lateMsMax` what
 * the rules in force allow an event to fall behind those before it.
 */
export async function checkDay(
  root: string,
  files: readonly LakeFile[],
  symbol: string,
  { lateMsMax }: { readonly lateMsMax: number },
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const type of TYPES) {
    const table = TABLE_OF[type];
    const paths = files.filter((file) => file.table === table).map((file) => `${root}/${file.path}`);
    if (paths.length === 0) continue;
    const ofSymbol = `FROM ticks WHERE symbol = ${literal(symbol)}`;
    const venues = await query(paths, `SELECT DISTINCT venue ${ofSymbol} ORDER BY venue`);
    for (const { venue } of venues as readonly { readonly venue: string }[]) {
      const discipline = DISCIPLINES[venue]?.[type] ?? "none";
      // As the judge has it: a time of our own is never late and makes nothing late, what is fetched afterwards is never late.
      const day = "(SELECT *, fall > 0 AS fallen, " +
        `fall > ${lateMsMax * 1_000} AND (source IS NULL OR source NOT IN ('backfill', 'redrive')) AS late FROM ` +
        "(SELECT *, CASE WHEN time_source IS NULL THEN epoch_us(max(event_time) FILTER (WHERE time_source IS NULL) " +
        "OVER (PARTITION BY partition ORDER BY origin ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) - " +
        `epoch_us(event_time) END AS fall ${ofSymbol} AND venue = ${literal(venue)}))`;
      for (const check of CHECKS) {
        if (!check.tables.includes(table) || check.promised?.includes(discipline) === false) continue;
        const [answer] = await query(paths, `SELECT ${check.sql} FROM ${day}`);
        if (answer === undefined) {
          throw new Error(`Cannot check "${check.name}" of ${table}: the engine gave no answer, must give one row`);
        }
        const [status, observed] = check.judge(answer);
        verdicts.push({ check: check.name, venue, table, status, observed, wanted: check.wanted });
      }
    }
  }
  return verdicts;
}
