/**
 * What audits came to so far: every run, how each expectation fared from one to the next, and when it failed first.
 *
 * **In** the lake's chronicle, **Out** runs and trends. **Knows** `chronicle`, `columns`, `stage`.
 */
import { Chronicle, type Entry, folderOf } from "../../lib/chronicle.ts";
import { marks, sparkline, type Trend, trendsOf } from "../../lib/chronicle/trend.ts";
import { columns } from "../../lib/columns.ts";
import { Misuse } from "../../lib/failure.ts";
import { defineStage } from "../../lib/stage.ts";

const RUNS_DRAWN = 40;
const TRENDS_SHOWN = 40;

export const history = defineStage({
  name: "audit history",
  does: "every run, its verdicts and its trend",
  reads: [],
  writes: [],
  needs: ["lake"],
  isApart: () => true,
  looks: () => true,
  flags: {
    name: { kind: "text", value: "NAME", does: "this expectation alone, whether it ever failed or not" },
    venue: { kind: "text", value: "VENUE", does: "this venue alone" },
    symbol: { kind: "text", value: "SYMBOL", does: "this instrument alone, and what speaks of whole tables" },
    runs: { kind: "count", default: 100, min: 1, max: 10_000, does: "how many runs, the latest" },
  },
  examples: [
    "deno task audit history",
    "deno task audit history --symbol BTCUSDT",
    "deno task audit history --name 'spread of quotes' --json | jq '.trends[].values'",
  ],
  async run({ values: { name, venue, symbol, runs }, lake }) {
    const chronicle = await Chronicle.open(folderOf(lake.root), lake.root);
    try {
      const entries = await chronicle.runs(runs);
      const results = await chronicle.results(entries, { name, venue, symbol });
      // What speaks of whole tables is of every symbol, whether there ever was such an instrument or not.
      const isKnown = results.length > 0 && (symbol === undefined || [
        ...results,
        ...(name === undefined ? [] : await chronicle.results(entries, { venue, symbol })),
      ].some((result) => result.symbol === symbol));
      const asked = Object.entries({ name, venue, symbol }).filter(([, text]) => text !== undefined);
      if (entries.length > 0 && asked.length > 0 && !isKnown) {
        const flags = asked.map(([flag, text]) => `--${flag} "${text}"`).join(" ");
        throw new Misuse(
          `Cannot tell history of ${flags}: no audit of the last ${entries.length} spoke of that, must be one that some did`,
        );
      }
      const trends = trendsOf(results);
      const shown = name === undefined && symbol === undefined ? trends.filter(({ failures }) => failures > 0) : trends;
      return {
        text: entries.length === 0
          ? "no audit by a suite was run on this lake so far"
          : [...runsText(entries), "", ...trendsText(shown)].join("\n"),
        runs: entries,
        trends,
      };
    } finally {
      chronicle.close();
    }
  },
});

function runsText(entries: readonly Entry[]): string[] {
  const head = ["run", "at", "suite", "dates", "passed", "errors", "warnings", "information", "verdict"];
  const rows = entries.map(({ id, at, suite, dates, passed, failed, results }) => [
    ...[id, at.slice(0, 19), suite, dates.length > 1 ? `${dates[0]}..${dates.at(-1)}` : dates[0] ?? ""],
    ...[passed, failed.error, failed.warning, failed.information].map((n) => n.toLocaleString("en")),
    failed.error > 0 ? "failed" : results ? "passed" : "nothing",
  ]);
  const errors = entries.slice(-RUNS_DRAWN).map(({ failed, results }) => results ? failed.error : null);
  const first = entries.find(({ failed }) => failed.error > 0);
  return [
    ...columns([head, ...rows], (column) => ["run", "at", "suite", "dates", "verdict"].includes(column)),
    "",
    `errors  ${sparkline(errors)}  ${first === undefined ? "none so far" : `first in run ${first.id}`}`,
  ];
}

function trendsText(trends: readonly Trend[]): string[] {
  if (trends.length === 0) return ["no expectation ever failed"];
  const ordered = trends.toSorted((a, b) =>
    Number(b.since !== null) - Number(a.since !== null) || b.failures - a.failures
  );
  const head = ["expectation", "venue", "symbol", "table", "verdicts", "values", "failed", "first failure"];
  const rows = ordered.slice(0, TRENDS_SHOWN).map((trend) => [
    ...[trend.name, trend.venue, trend.symbol ?? "", trend.table],
    ...[marks(trend.held.slice(-RUNS_DRAWN)), sparkline(trend.values.slice(-RUNS_DRAWN))],
    `${trend.failures}/${trend.held.length}`,
    trend.first === null
      ? ""
      : `${trend.first.date} (${trend.first.observed})${
        trend.since === null ? "" : trend.since.run === trend.first.run ? ", since then" : `, since ${trend.since.date}`
      }`,
  ]);
  const more = ordered.length > TRENDS_SHOWN ? [`and ${ordered.length - TRENDS_SHOWN} more, see --json`] : [];
  return [...columns([head, ...rows], (column) => column !== "failed"), ...more];
}
