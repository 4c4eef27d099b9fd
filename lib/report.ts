/**
 * What an audit found, as one HTML file: the verdict, the findings, the passes folded, the day of each instrument as small
 * plots, and its coverage as a heat map. It opens by itself, light or dark, is filtered and sorted in place, and needs
 * neither network nor server.
 *
 * **In** a run, a coverage, **Out** HTML. **Knows** `check`, `coverage`.
 */
import { type Result, type Run, SEVERITIES } from "./check.ts";
import type { Coverage } from "./coverage.ts";
import { carried, escaped, linkOf } from "./report/escape.ts";
import { count, heatOf, holesOf, plural, timeText } from "./report/heat.ts";
import { dayOf } from "./report/plot.ts";
import { shell } from "./report/shell.ts";

/** Days that are shown at once; more are folded. */
const DAYS_SHOWN = 8;

/** Columns of the page's tables, as they stand in each of its rows. */
const COLUMNS: readonly (readonly [name: keyof Result, label: string])[] = [
  ["severity", "Severity"],
  ["name", "Expectation"],
  ["symbol", "Symbol"],
  ["venue", "Venue"],
  ["table", "Table"],
  ["date", "Date"],
  ["observed", "Observed"],
  ["wanted", "Wanted"],
  ["failing", "Rows"],
  ["evidence", "Evidence"],
];
/** What a row holds besides, for filters alone. */
const MORE: readonly (keyof Result)[] = ["check", "status", "value"];

/** The page of a run, with the coverage of its dates where that is known. */
export function reportOf(run: Run, coverages: readonly Coverage[] = []): string {
  const { results, suite } = run;
  const failed = Object.fromEntries(
    SEVERITIES.map((severity) => [
      severity,
      results.filter((result) => result.status === "fail" && result.severity === severity).length,
    ]),
  ) as Readonly<Record<Result["severity"], number>>;
  const passed = results.filter(({ status }) => status === "pass").length;
  const [verdict, colour] = verdictOf(results, failed);
  const dates = run.dates.length > 2 ? `${run.dates[0]} to ${run.dates.at(-1)}` : run.dates.join(" and ");
  const about = `<b>Tapedeck</b> audit of ${escaped(dates)} by suite <b>${escaped(suite)}</b>`;
  return shell(
    `${verdict}: ${suite}, ${dates}`,
    about,
    `<h1 class="${colour}">${verdict}</h1>
<p class="lead">${leadOf(results, failed)}</p>
${unaccountedOf(coverages)}${shareOf(failed, passed)}
<dl class="counts">${
      [
        ["error", "errors", failed.error],
        ["warning", "warnings", failed.warning],
        ["information", "for information", failed.information],
        ["pass", "passed", passed],
      ].map(([name, label, n]) =>
        `<div class="${n === 0 ? "none" : name}"><dt>${label}</dt><dd>${count(n as number)}</dd></div>`
      ).join("")
    }</dl>
</header>
<main>
${controlsOf(results)}
<noscript><p class="lead">The results are in this file as JSON; the tables below need scripts to show them.</p></noscript>
<section aria-labelledby="findings"><h2 id="findings">Findings <small data-count></small></h2>
${tableOf(results, "Findings", results.length === passed ? "Nothing failed." : "No finding is as the filter asks.")}
</section>
<section><details id="passes"><summary>Passes <small data-count></small></summary>
${tableOf(results, "Passes", "No pass is as the filter asks.")}
</details></section>
${
      coverages.map((coverage, i) =>
        `<section><h2${i === 0 ? ' id="coverage"' : ""}>Coverage <small>${
          escaped(coverage.date)
        }, hours of UTC</small></h2>\n${heatOf(coverage)}\n${holesOf(coverage)}</section>`
      ).join("\n")
    }
${plotsOf(run)}
</main>
<footer>Run ${escaped(run.id)}, ${escaped(run.at)}. Times are UTC.</footer>
<script type="application/json" id="results">${carried(carriedOf(results))}</script>`,
  );
}

/** The page of a date's coverage alone. */
export function coverageReportOf(coverage: Coverage): string {
  const { date, instruments } = coverage;
  const sum = (fate: "lost" | "unaccounted"): number =>
    instruments.reduce((sum, { minutes }) => sum + minutes[fate], 0);
  const expected = instruments.reduce((sum, each) => sum + each.expected, 0);
  const [verdict, colour] = sum("unaccounted") > 0
    ? ["Holes that nobody recorded", "error"]
    : sum("lost") > 0
    ? ["Some was lost, as was told", "warning"]
    : instruments.length === 0
    ? ["Nothing was collected", "warning"]
    : ["All is accounted for", "pass"];
  return shell(
    `${verdict}: coverage of ${date}`,
    `<b>Tapedeck</b> coverage of ${escaped(date)}`,
    `<h1 class="${colour}">${verdict}</h1>
<p class="lead">Of ${timeText(expected)} expected of ${plural(instruments.length, "instrument")}, ${
      timeText(sum("unaccounted"))
    } are unaccounted for and ${timeText(sum("lost"))} were lost.</p>
</header>
<main><section><h2>Hours of UTC</h2>
${heatOf(coverage)}
${holesOf(coverage)}</section></main>
<footer>A minute with rows is collected; one without is what calendar, venue and collector tell of it.</footer>`,
  );
}

function verdictOf(results: readonly Result[], failed: Readonly<Record<Result["severity"], number>>) {
  if (failed.error > 0) return ["Failed", "error"] as const;
  if (failed.warning > 0) return ["Passed with warnings", "warning"] as const;
  return results.length === 0 ? ["Nothing was checked", "warning"] as const : ["Passed", "pass"] as const;
}

function leadOf(results: readonly Result[], failed: Readonly<Record<Result["severity"], number>>): string {
  const symbols =
    new Set(results.filter(({ symbol }) => symbol !== null).map(({ venue, symbol }) => JSON.stringify([venue, symbol])))
      .size;
  const asked = `${plural(results.length, "expectation")}${
    symbols === 0 ? "" : ` of ${plural(symbols, "instrument")}`
  }`;
  if (results.length === 0) return "The suite asked nothing of these dates.";
  const rows = results.reduce((sum, { status, failing }) => sum + (status === "fail" ? failing : 0), 0);
  const total = failed.error + failed.warning + failed.information;
  return total === 0
    ? `All of ${asked} hold.`
    : `${count(total)} of ${asked} ${total === 1 ? "does" : "do"} not hold${
      rows === 0 ? "" : `, for ${plural(rows, "row")}`
    }.`;
}

/** What the verdict says nothing of, since no expectation asks for it: time that was to be collected, and nobody knows of. */
function unaccountedOf(coverages: readonly Coverage[]): string {
  const covers = coverages.flatMap(({ instruments }) => instruments);
  const found = covers.filter(({ minutes }) => minutes.unaccounted > 0);
  if (found.length === 0) return "";
  const sum = found.reduce((sum, { minutes }) => sum + minutes.unaccounted, 0);
  const whose = found.length === covers.length
    ? plural(found.length, "instrument")
    : `${count(found.length)} of ${plural(covers.length, "instrument")}`;
  return `<p class="lead unaccounted">Besides, ${
    timeText(sum)
  } of ${whose} are unaccounted for: <a href="#coverage">holes that nobody recorded</a>.</p>\n`;
}

/** The shares of the verdicts as one bar; what there is at all is seen. */
function shareOf(failed: Readonly<Record<Result["severity"], number>>, passed: number): string {
  const parts = [...SEVERITIES.map((severity) => [severity, failed[severity]] as const), ["pass", passed] as const];
  const widths = parts.map(([name, n]) => [name, n === 0 ? 0 : Math.max(n, (passed + 1) / 200)] as const);
  const whole = widths.reduce((sum, [, n]) => sum + n, 0) || 1;
  let x = 0;
  const bars = widths.filter(([, n]) => n > 0).map(([name, n]) => {
    const width = n / whole * 1_000;
    x += width;
    return `<rect class="${name}" x="${(x - width).toFixed(1)}" width="${width.toFixed(1)}" height="6"/>`;
  });
  return `<svg class="share" viewBox="0 0 1000 6" preserveAspectRatio="none" aria-hidden="true">${bars.join("")}</svg>`;
}

function controlsOf(results: readonly Result[]): string {
  const choice = (name: string, label: string, values: readonly string[], first = "all"): string =>
    `<label>${label}<select name="${name}"><option value="">${first}</option>${
      values.map((value) => `<option value="${escaped(value)}">${escaped(value)}</option>`).join("")
    }</select></label>`;
  const distinct = (of: (result: Result) => string | null): string[] =>
    [...new Set(results.map(of))].filter((value) => value !== null).sort();
  return `<form class="controls" role="search" hidden>
<label class="search">Search<input type="search" name="text" autocomplete="off" spellcheck="false" placeholder="expectation, symbol, what was observed"></label>
${choice("severity", "Severity", SEVERITIES)}
${choice("status", "Status", ["fail", "pass"])}
${choice("venue", "Venue", distinct(({ venue }) => venue))}
${choice("symbol", "Symbol", distinct(({ symbol }) => symbol))}
<label class="order">Sort by<select name="order"><option value="">the suite</option>${
    COLUMNS.filter(([name]) => name !== "evidence").map(([name, label]) =>
      `<option value="${name}">${label.toLowerCase()}</option>`
    ).join("")
  }</select></label>
<output id="shown" aria-live="polite"></output>
</form>`;
}

function tableOf(results: readonly Result[], caption: string, nothing: string): string {
  const heads = COLUMNS.filter(([name]) => !isHidden(results, name)).map(([name, label]) => {
    const side = name === "failing" ? ' class="number"' : "";
    return name === "evidence"
      ? `<th scope="col" role="columnheader"${side}><span>${label}</span></th>`
      : `<th scope="col" role="columnheader"${side}><button type="button" value="${name}">${label}</button></th>`;
  });
  return `<div class="wide"><table class="results cards" role="table"><caption class="hidden">${caption}</caption><thead role="rowgroup"><tr role="row">${
    heads.join("")
  }</tr></thead><tbody role="rowgroup"></tbody></table><p class="nothing" hidden>${nothing}</p><button type="button" class="more" hidden></button></div>`;
}

/** What is the same in all of them is said once, above. */
function isHidden(results: readonly Result[], name: keyof Result): boolean {
  return name === "date" && new Set(results.map(({ date }) => date)).size === 1;
}

/** The results as the page's script reads them: failures first, the worst of them first, else as they came. */
function carriedOf(results: readonly Result[]) {
  const rank = ({ status, severity }: Result): number => status === "pass" ? 9 : SEVERITIES.indexOf(severity);
  const names = [...COLUMNS.map(([name]) => name), ...MORE];
  const labels = new Map(COLUMNS);
  return {
    columns: names.map((name) => ({ name, label: labels.get(name) ?? "", isHidden: isHidden(results, name) })),
    severities: SEVERITIES,
    rows: results.toSorted((a, b) => rank(a) - rank(b)).map((result) =>
      names.map((name) => name === "evidence" && result.evidence !== null ? linkOf(result.evidence) : result[name])
    ),
  };
}

/** The days of instruments, those with findings first. */
function plotsOf({ results, plots }: Run): string {
  if (plots.length === 0) return "";
  const keyOf = ({ venue, symbol }: Pick<Result, "venue" | "symbol">): string => JSON.stringify([venue, symbol]);
  const failed = new Set(results.filter(({ status }) => status === "fail").map(keyOf));
  const ordered = plots.toSorted((a, b) => Number(failed.has(keyOf(b))) - Number(failed.has(keyOf(a))));
  const days = [...Map.groupBy(ordered, (plot) => JSON.stringify([keyOf(plot), plot.date])).values()].map(dayOf);
  const folded = days.slice(DAYS_SHOWN);
  return `<section aria-labelledby="days"><h2 id="days">The day <small>hours of UTC</small></h2>
${days.slice(0, DAYS_SHOWN).join("\n")}
${
    folded.length === 0
      ? ""
      : `<details id="folded"><summary>${plural(folded.length, "more day")}</summary>${folded.join("\n")}</details>`
  }</section>`;
}
