/**
 * A suite for an instrument, from what its last days in the lake were: it passes on them, and says why each bound was
 * chosen.
 *
 * **In** the lake, **Out** a suite as JSON on stdout. **Knows** `profile`, `check`, `parquet`, `rule`, `stage`.
 */
import { type Ground, ledgerOf, pathsOf, runSuite, suiteOf } from "../../lib/check.ts";
import { Misuse } from "../../lib/failure.ts";
import type { Lake, Unit } from "../../lib/lake.ts";
import { query } from "../../lib/parquet.ts";
import { type Ask, type Profile, profileOf, type Proposal } from "../../lib/profile.ts";
import { LIMITS } from "../../lib/rule/limits.ts";
import { defineStage } from "../../lib/stage.ts";

const DAY_US = 86_400_000_000;

export const profile = defineStage({
  name: "audit profile",
  does: "looks at an instrument's days and suggests a suite",
  reads: [],
  writes: [],
  needs: ["lake"],
  isApart: () => true,
  looks: () => true,
  prints: () => true,
  flags: {
    symbol: { kind: "text", value: "SYMBOL", does: "instrument, as the venue writes it" },
    venue: { kind: "text", value: "VENUE", does: "of this venue alone" },
    days: { kind: "count", default: 7, min: 1, max: 366, does: "how many of its last days are looked at" },
  },
  examples: [
    "deno task audit profile --symbol BTCUSDT --days 7 > suite.json",
    "deno task audit --symbol BTCUSDT --date 2026-11-20 --suite suite.json",
  ],
  async run({ values: { symbol, venue, days }, lake, signal }) {
    if (symbol === undefined) throw new Misuse("Cannot profile: no --symbol is given, must be an instrument");
    const units = await lake.units();
    const found = [...await daysOf(lake, units, symbol, days)].filter(([of]) => venue === undefined || of === venue);
    if (found.length === 0) {
      throw new Misuse(`Cannot profile "${symbol}": the lake has no row of it, must be what sink-cold wrote`);
    }
    const profiles: (Profile & { readonly venue: string })[] = [];
    for (const [venue, dates] of found) {
      profiles.push({ venue, ...await profileOf(venue, symbol, asking(lake, units, symbol, dates, signal)) });
    }
    const named = ({ name, ...rest }: Proposal, venue: string): Proposal => (
      { name: profiles.length > 1 ? `${name} on ${venue}` : name, ...rest } as Proposal
    );
    const expectations = profiles.flatMap(({ venue, expectations }) => expectations.map((each) => named(each, venue)));
    const suite = { suite: `profile of ${symbol}`, expectations };
    console.log(JSON.stringify(suite, null, 2));
    return {
      text: profiles.flatMap(({ venue, dates, expectations, left }) => [
        `${venue} ${symbol}: ${expectations.length} expectations from ${dates.length} days, ${dates[0]} to ${
          dates.at(-1)
        }`,
        ...left.map((each) => `  not suggested: ${each}`),
      ]).join("\n"),
      ...{ suite, left: profiles.flatMap(({ left }) => left) },
    };
  },
});

/** The last days on which each venue has events of the symbol, the earliest first. */
async function daysOf(
  lake: Lake,
  units: readonly Unit[],
  symbol: string,
  max: number,
): Promise<ReadonlyMap<string, string[]>> {
  const files = units.flatMap((unit) => unit.files).filter(({ table }) => table !== "status");
  const dates = [...new Set(files.map(({ date }) => date))].sort().reverse();
  const found = new Map<string, string[]>();
  for (let i = 0; i < dates.length; i += max) {
    const some = dates.slice(i, i + max);
    const answers = await query(
      files.filter(({ date }) => some.includes(date)).map(({ path }) => `${lake.root}/${path}`),
      `SELECT DISTINCT venue, (epoch_us(event_time) // ${DAY_US})::BIGINT AS day FROM ticks
        WHERE symbol = '${symbol.replaceAll("'", "''")}' ORDER BY day DESC`,
    );
    for (const { venue, day } of answers) {
      const of = found.get(String(venue)) ?? [];
      found.set(String(venue), of);
      if (of.length < max) of.unshift(new Date(Number(day) * DAY_US / 1_000).toISOString().slice(0, 10));
    }
    if (found.size > 0 && [...found.values()].every(({ length }) => length === max)) break;
  }
  return found;
}

/** Asks an instrument's days of the lake. What depends on rules or terms in force is asked with bounds of its own. */
function asking(
  lake: Lake,
  units: readonly Unit[],
  symbol: string,
  dates: readonly string[],
  signal: AbortSignal,
): Ask {
  const ground: Ground = {
    ...{ dates, symbol, signal, terms: [], limits: LIMITS, texts: new Map(), shelf: null, draws: false },
    files: (date) => Promise.resolve(pathsOf(lake.root, ledgerOf(units, date))),
    ledger: (date) => ledgerOf(units, date),
  };
  return async (expectations) => {
    if (expectations.length === 0) return [];
    const suite = suiteOf(JSON.stringify({ suite: "profile", expectations }), "profile");
    return (await runSuite(suite, ground)).results;
  };
}
