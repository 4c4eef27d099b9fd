/**
 * What was collected of a day and what was not: quiet, closed, lost as was told, and what nobody recorded, which is a
 * finding.
 *
 * **In** the lake, **Out** a table of hours, a page; exit 3 where a hole is unaccounted for. **Knows** `coverage`, `page`, `report`,
 * `columns`, `calendar`, `stage`.
 */
import { isDate } from "../../lib/calendar/schedule.ts";
import { columns } from "../../lib/columns.ts";
import { type Cover, type Coverage, coverageOf } from "../../lib/coverage.ts";
import { Misuse } from "../../lib/failure.ts";
import { PAGE, tryPage } from "../../lib/page.ts";
import { coverageReportOf } from "../../lib/report.ts";
import { clockText, timeText, worstOf } from "../../lib/report/heat.ts";
import { defineStage } from "../../lib/stage.ts";

const SHOWN = 100;
const MARKS = { unaccounted: "!", lost: "x", collected: "#", quiet: "-", closed: ".", unasked: " " } as const;

export const coverage = defineStage({
  name: "audit coverage",
  does: "quiet, closed, lost, not recorded: told apart by the hour",
  reads: [],
  writes: [],
  needs: ["lake"],
  isApart: () => true,
  looks: () => true,
  flags: {
    date: { kind: "text", value: "YYYY-MM-DD", pattern: /^\d{4}-\d{2}-\d{2}$/, does: "UTC date" },
    venue: { kind: "text", value: "VENUE", does: "this venue alone" },
    symbol: { kind: "text", value: "SYMBOL", does: "this instrument alone" },
    report: { kind: "text", value: "FILE.html", pattern: PAGE, does: "an HTML page with the heat map" },
    strict: { kind: "switch", does: "what was lost is a finding as well, though it was told" },
  },
  examples: [
    "deno task audit coverage --date 2026-11-20",
    "deno task audit coverage --date 2026-11-20 --report coverage.html",
    "deno task audit coverage --date 2026-11-20 --json | jq '.findings'",
  ],
  files: ({ report }) => ({ write: report === undefined ? [] : [report] }),
  async run({ values: { date, venue, symbol, report, strict }, lake, micros }) {
    if (date === undefined) throw new Misuse("Cannot tell coverage: --date is not given, must be a day of UTC");
    if (!isDate(date)) throw new Misuse(`Cannot tell coverage of "${date}": there is no such day, must be YYYY-MM-DD`);
    if (report !== undefined) tryPage(report);
    const files = (await lake.units()).flatMap((unit) => unit.files);
    const all = await coverageOf(lake.root, files, date, micros());
    const isWanted = (cover: Cover): boolean =>
      (venue === undefined || cover.venue === venue) && (symbol === undefined || cover.symbol === symbol);
    const found = { ...all, instruments: all.instruments.filter(isWanted) };
    if (report !== undefined) await Deno.writeTextFile(report, coverageReportOf(found));
    const holes = found.instruments.flatMap(({ venue, symbol, holes }) =>
      holes.map(({ fate, from, to, why }) => ({ fate, venue, symbol, from: clockText(from), to: clockText(to), why }))
    );
    const findings = [
      ...(found.instruments.length === 0 ? [{ fate: "unaccounted", why: "nobody collected anything" }] : []),
      ...holes.filter(({ fate }) => strict || fate === "unaccounted"),
    ];
    return { text: textOf(found, holes).join("\n"), findings, ...found };
  },
});

function textOf({ date, until, instruments }: Coverage, holes: readonly Readonly<Record<string, string>>[]): string[] {
  if (instruments.length === 0) return [`nobody collected anything of ${date}, as far as the lake knows`];
  const head = ["venue", "symbol", "00    06    12    18    ", "expected", "collected", "quiet", "lost", "unaccounted"];
  const rows = instruments.slice(0, SHOWN).map(({ venue, symbol, hours, expected, minutes }) => [
    ...[venue, symbol, hours.map((hour) => MARKS[worstOf(hour)]).join("")],
    ...[expected, minutes.collected, minutes.quiet, minutes.lost, minutes.unaccounted].map(timeText),
  ]);
  const worst = holes.toSorted((a, b) => Number(b.fate === "unaccounted") - Number(a.fate === "unaccounted"));
  return [
    ...columns([head, ...rows], (name) => head.indexOf(name) < 3),
    ...(instruments.length > SHOWN ? [`and ${instruments.length - SHOWN} more, see --json`] : []),
    "",
    "# collected  - quiet  . closed  x lost, as was told  ! unaccounted: nobody recorded it",
    ...(until < 1_440 ? [`the day is not over: known up to ${clockText(until)}`] : []),
    ...worst.slice(0, SHOWN).map(({ fate, venue, symbol, from, to, why }) =>
      `${fate}  ${venue} ${symbol}  ${from} to ${to}  ${why}`
    ),
    ...(worst.length > SHOWN ? [`and ${worst.length - SHOWN} more, see --json`] : []),
  ];
}
