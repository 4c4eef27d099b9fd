/**
 * Whether an instrument's latest audit is like those before it: each value by a robust z-score, the day's shape by the
 * population stability index. Runs that found errors are no baseline.
 *
 * **In** the lake's chronicle, **Out** drifts; exit 3 on some with `--strict`. **Knows** `chronicle`, `drift`, `columns`,
 * `stage`.
 */
import { Chronicle, folderOf } from "../../lib/chronicle.ts";
import { columns } from "../../lib/columns.ts";
import { type Baseline, baselineOf, DAYS_MIN, type Drift, driftsOf } from "../../lib/drift.ts";
import { Misuse } from "../../lib/failure.ts";
import { defineStage } from "../../lib/stage.ts";

const DAY_MS = 86_400_000;
const RUNS_MAX = 10_000;
const SHOWN = 60;

export const drift = defineStage({
  name: "audit drift",
  does: "whether an instrument is what it was on other days",
  reads: [],
  writes: [],
  needs: ["lake"],
  isApart: () => true,
  looks: () => true,
  flags: {
    symbol: { kind: "text", value: "SYMBOL", does: "instrument, as the venue writes it" },
    venue: { kind: "text", value: "VENUE", does: "of this venue alone" },
    against: { kind: "text", value: "30d", default: "30d", pattern: /^[1-9]\d{0,3}d$/, does: "how far back, in days" },
    run: { kind: "text", value: "ID", does: "the run that is looked at (default the latest of the instrument)" },
    strict: { kind: "switch", does: "a drift is a finding" },
  },
  examples: [
    "deno task audit drift --symbol BTCUSDT --against 30d",
    "deno task audit drift --symbol BTCUSDT --strict --json | jq '.baseline.runs[].id'",
  ],
  async run({ values: { symbol, venue, against, run, strict }, lake }) {
    if (symbol === undefined) throw new Misuse("Cannot tell drift: no --symbol is given, must be an instrument");
    const chronicle = await Chronicle.open(folderOf(lake.root), lake.root);
    try {
      const entries = await chronicle.runs(RUNS_MAX);
      const results = await chronicle.results(entries, { venue, symbol });
      const asked = new Set(results.filter((result) => result.symbol === symbol).map((result) => result.run));
      const current = entries.findLast(({ id }) => run === undefined ? asked.has(id) : id === run);
      if (current === undefined) {
        const state = run === undefined ? "no audit by a suite ever spoke of it" : `there is no run "${run}"`;
        throw new Misuse(`Cannot tell drift of "${symbol}": ${state}, must be in deno task audit history`);
      }
      const baseline = baselineOf(entries, results, current, parseInt(against) * DAY_MS);
      const plots = await chronicle.plots([...baseline.runs, current], { venue, symbol });
      const drifts = driftsOf(current, baseline, results, plots);
      return {
        text: [
          `run ${current.id} of ${current.dates.join(", ")} by suite ${current.suite}`,
          ...baselineText(baseline),
          "",
          ...driftsText(drifts),
        ].join("\n"),
        findings: strict ? drifts.filter(({ verdict }) => verdict === "drifted") : [],
        ...{ run: current, baseline, drifts },
      };
    } finally {
      chronicle.close();
    }
  },
});

function baselineText({ runs, failed }: Baseline): string[] {
  const named = (list: Baseline["runs"]): string =>
    list.map(({ id, dates }) => `${id} (${dates.join(", ")})`).join(", ");
  return [
    runs.length === 0 ? "baseline: no run" : `baseline: ${runs.length} runs: ${named(runs)}`,
    ...(failed.length === 0 ? [] : [`left out, since they found errors: ${named(failed)}`]),
  ];
}

const shown = (n: number | null): string =>
  n === null ? "" : new Intl.NumberFormat("en", { maximumSignificantDigits: 4 }).format(n);

function driftsText(drifts: readonly Drift[]): string[] {
  const unknown = drifts.filter(({ verdict }) => verdict === "unknown").length;
  const head = ["verdict", "what", "venue", "table", "date", "value", "usual", "from", "to", "z", "psi"];
  const rows = drifts.filter(({ verdict }) => verdict !== "unknown").slice(0, SHOWN).map((drift) => {
    const { verdict, name, venue, table, date, value, usual, measure, distance } = drift;
    const far = distance === null ? "never varied" : distance.toFixed(2);
    return [
      ...[verdict, name, venue, table ?? "", date, shown(value)],
      ...[usual!.median, usual!.low, usual!.high].map(shown),
      ...(measure === "z" ? [far, ""] : ["", far]),
    ];
  });
  const drifted = drifts.filter(({ verdict }) => verdict === "drifted").length;
  return [
    ...(rows.length === 0 ? [] : [...columns([head, ...rows], (column) => head.indexOf(column) < 5), ""]),
    `${drifted} of ${drifts.length - unknown} drifted` +
    (unknown === 0
      ? ""
      : `; of ${unknown} more nothing can be said with fewer than ${DAYS_MIN} days to hold them against`),
  ];
}
